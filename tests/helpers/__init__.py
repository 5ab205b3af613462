"""What several test modules use: builders of inputs, references, clients of a running host. No tests."""

"""The boxes that the node library offers, each a part of a shipped workflow with a handful of inputs."""

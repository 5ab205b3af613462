"""The paper's evaluation: its metrics, protocol and tables, for pictures on disk; PROTOCOL.md settles the rest."""

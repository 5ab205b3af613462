"""The paper's evaluation: its metrics, protocol and tables, for pictures on disk; PROTOCOL.md settles the rest."""

from host_server import load_package

load_package("fleet")  # which draws the pictures, and knows graphs

"""What dev.py sets up and starts: standard library only; nothing that the host loads imports it."""

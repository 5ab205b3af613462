"""The pack at real size: full-size files with random weights, an unmodified host, the flows, and one table."""

"""Plots, captions and contact sheets, drawn with Pillow: for the nodes that show something, and for the benchmarks."""

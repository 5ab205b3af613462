"""Tests of lab/: the pocket world, the models trained on it, and the benchmarks."""

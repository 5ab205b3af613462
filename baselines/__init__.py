"""Other papers' inversions, one file each, on resinversion's types. Torch only."""

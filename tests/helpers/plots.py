"""Reads plots back: what a curve's pixels say."""

import numpy as np
from customenhancer.drawing.plots import TOP


def rgb(colour: str) -> list[int]:
    """The three numbers of a colour such as #1f77b4."""
    return [int(colour[n : n + 2], 16) for n in (1, 3, 5)]


def near(pixels, colour: str) -> np.ndarray:
    """Where pixels (H, W, 3) of 0 .. 255 have about a colour, (H, W)."""
    return np.abs(pixels - rgb(colour)).max(-1) < 90


def marks(image, colour: str) -> np.ndarray:
    """Where the middle of a curve's dots is, (x, y) in order of x; its dots must not touch one another."""
    pixels = near(np.asarray(image, int), colour)
    pixels[: TOP - 4] = False  # the legend
    columns = np.flatnonzero(pixels.sum(0) >= 4)  # a line that is not steep has fewer pixels in a column
    dots = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    return np.array([(dot.mean(), np.argwhere(pixels[:, dot])[:, 0].mean()) for dot in dots])

"""Draws numbers by step as curves over a logarithmic axis: with Pillow, and no plotting library."""

import math
from collections.abc import Collection, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

SIZE = (768, 512)
SCALE = 2  # drawn larger and shrunk, for Pillow does not smooth its lines
LEFT, TOP, RIGHT, BOTTOM = 84, 124, 740, 424  # of the axes, in pixels of SIZE; the row of zeros lies below
ZERO = 448  # the row where a value of 0 is drawn, which a logarithm has no place for
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]  # told apart by the colour-blind (Okabe and Ito)
INK, GRID = "#202020", "#d8d8d8"
MOST_TICKS = 10


def draw_steps(
    title: str,
    step_name: str,
    value_name: str,
    curves: dict[str, Sequence[float]],
    rings: dict[str, Collection[int]] | None = None,
) -> Image.Image:
    """Plot curves over steps 0, 1, 2, ...; the picture is RGB, of SIZE.

    title, step_name, value_name: of the picture and its axes. curves: by what the legend calls them, at most as many
    as COLOURS, drawn in this order; finite values >= 0, of which one curve may have fewer than another. Values of 0
    go to a row of their own below the axis. rings: by the curve's name, the steps whose points are rings, not dots.
    """
    values = [value for curve in curves.values() for value in curve]
    low, high = _decades(values)
    last = max(max(map(len, curves.values())) - 1, 1)
    image = Image.new("RGB", (SIZE[0] * SCALE, SIZE[1] * SCALE), "white")
    pen = _Pen(image)

    def place(step: int, value: float) -> tuple[float, float]:
        x = LEFT + (RIGHT - LEFT) * step / last
        return x, (BOTTOM - (BOTTOM - TOP) * (math.log10(value) - low) / (high - low) if value else ZERO)

    for exponent in range(low, high + 1, _stride(high - low)):
        y = place(0, 10.0**exponent)[1]
        pen.line([(LEFT, y), (RIGHT, y)], GRID)
        pen.text((LEFT - 8, y), f"1e{exponent}" if exponent else "1", "rm")
    for step in range(0, last + 1, _stride(last)):
        x = place(step, 0)[0]
        pen.line([(x, TOP), (x, ZERO)], GRID)
        pen.text((x, ZERO + 10), str(step), "mt")
    pen.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK)
    if 0 in values:
        pen.line([(LEFT, ZERO), (RIGHT, ZERO)], GRID)
        pen.text((LEFT - 8, ZERO), "0", "rm")
    pen.text((LEFT, 12), title, "lt", size=18)
    pen.text((LEFT, TOP - 10), value_name, "lb")
    pen.text(((LEFT + RIGHT) / 2, SIZE[1] - 14), step_name, "mb")

    for row, (colour, (name, curve)) in enumerate(zip(COLOURS, curves.items(), strict=False)):
        points = [place(step, value) for step, value in enumerate(curve)]
        pen.line(points, colour, width=2)
        for step, point in enumerate(points):
            pen.dot(point, colour, ring=step in (rings or {}).get(name, ()))
        pen.legend(row, name, colour)
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def as_image(picture: Image.Image) -> torch.Tensor:
    """An RGB picture as the host's IMAGE, (1, H, W, 3) float32, 0 .. 1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that the axis goes from and to, around every value above 0."""
    exponents = [math.log10(value) for value in values if value > 0] or [0.0]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    return (low, high) if low < high else (low - 1, high + 1)


def _stride(length: int) -> int:
    """How far apart ticks are, so that MOST_TICKS are enough: 1, 2, 5, 10, 20, ..."""
    strides = (factor * 10**power for power in range(10) for factor in (1, 2, 5))
    return next(stride for stride in strides if length <= stride * MOST_TICKS)


class _Pen:
    """Draws on an image that is SCALE times as large as the coordinates that it is given."""

    def __init__(self, image: Image.Image):
        self._draw = ImageDraw.Draw(image)

    def line(self, points, colour: str, width: int = 1) -> None:
        self._draw.line(_scaled(points), colour, width * SCALE, joint="curve")

    def dot(self, point, colour: str, radius: float = 2.5, ring: bool = False) -> None:
        self._draw.circle(_scaled([point])[0], radius * SCALE, "white" if ring else colour, colour, SCALE)

    def text(self, point, text: str, anchor: str, size: int = 14) -> None:
        font = ImageFont.load_default(size * SCALE)
        self._draw.text(_scaled([point])[0], text, INK, font, anchor)

    def legend(self, row: int, name: str, colour: str) -> None:
        """The curve's name, in the given row between title and axes."""
        y = 46 + 17 * row
        self.line([(LEFT, y), (LEFT + 28, y)], colour, width=2)
        self.dot((LEFT + 14, y), colour)
        self.text((LEFT + 36, y), name, "lm")


def _scaled(points) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]

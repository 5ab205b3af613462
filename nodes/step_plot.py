"""Draws curves with Pillow alone: numbers by step on a logarithmic axis, or by any value on a linear one."""

import itertools
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
MOST_NUMBERS = 20  # of points that have their number written beside them


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
    pen = _Pen()

    def place(step: int, value: float) -> tuple[float, float]:
        x = LEFT + (RIGHT - LEFT) * step / last
        return x, (BOTTOM - (BOTTOM - TOP) * (math.log10(value) - low) / (high - low) if value else ZERO)

    for exponent in range(low, high + 1, _stride(high - low)):
        pen.row(place(0, 10.0**exponent)[1], f"1e{exponent}" if exponent else "1")
    for step in range(0, last + 1, _stride(last)):
        pen.column(place(step, 0)[0], ZERO, str(step))
    if 0 in values:
        pen.row(ZERO, "0")
    pen.axes(title, step_name)
    pen.text((LEFT, TOP - 10), value_name, "lb")

    for row, (colour, (name, curve)) in enumerate(zip(COLOURS, curves.items(), strict=False)):
        rung = (rings or {}).get(name, ())
        pen.curve([place(step, value) for step, value in enumerate(curve)], colour, rung)
        pen.legend(row, name, colour)
    return pen.picture()


def draw_values(title: str, x_name: str, y_name: str, points: Sequence[tuple[float, float]]) -> Image.Image:
    """Plot one curve over any values, on linear axes; the picture is RGB, of SIZE.

    title, x_name: of the picture and its axis. y_name: of the curve. points: (x, y), at least one, finite; joined in
    the order of x. The axis of y goes from 0 to 1 and as far beyond as the points do, so that plots compare. Up to
    MOST_NUMBERS points have their y written above them.
    """
    points = sorted(points)
    left, right = points[0][0], points[-1][0]
    if left == right:
        left, right = left - max(1.0, abs(left)), right + max(1.0, abs(right))
    low, high = min(0.0, *(y for _, y in points)), max(1.0, *(y for _, y in points))
    pen = _Pen()

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * (x - left) / (right - left), BOTTOM - (BOTTOM - TOP) * (y - low) / (high - low)

    for y in _ticks(low, high):
        pen.row(place(left, y)[1], f"{y:g}")
    for x in _ticks(left, right):
        pen.column(place(x, low)[0], BOTTOM, f"{x:g}")
    pen.axes(title, x_name)
    placed = [place(*point) for point in points]
    pen.curve(placed, COLOURS[0])
    pen.legend(0, y_name, COLOURS[0])
    if len(points) <= MOST_NUMBERS:
        for (x, y), (_, number) in zip(placed, points, strict=True):
            pen.text((x, y - 8), f"{number:.3g}", "lb" if x == LEFT else "mb")  # clear of the axis
    return pen.picture()


def as_image(picture: Image.Image) -> torch.Tensor:
    """An RGB picture as the host's IMAGE, (1, H, W, 3) float32, 0 .. 1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that the axis goes from and to, around every value above 0."""
    exponents = [math.log10(value) for value in values if value > 0] or [0.0]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    return (low, high) if low < high else (low - 1, high + 1)


def _stride(length: float, power: int = 0) -> float:
    """How far apart ticks are, so that MOST_TICKS are enough: 1, 2, 5, 10, 20, ... times 10**power."""
    strides = (factor * 10**exponent for exponent in itertools.count(power) for factor in (1, 2, 5))
    return next(stride for stride in strides if length <= stride * MOST_TICKS)


def _ticks(low: float, high: float) -> list[float]:
    """The values to mark on a linear axis."""
    stride = _stride(high - low, math.floor(math.log10(high - low)) - 2)
    slack = 1e-9  # a tick at the axis's very end is lost to rounding otherwise
    return [n * stride for n in range(math.ceil(low / stride - slack), math.floor(high / stride + slack) + 1)]


class _Pen:
    """Draws on an image that is SCALE times as large as the coordinates that it is given."""

    def __init__(self):
        self._image = Image.new("RGB", (SIZE[0] * SCALE, SIZE[1] * SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)

    def picture(self) -> Image.Image:
        """What was drawn, of SIZE."""
        return self._image.resize(SIZE, Image.Resampling.LANCZOS)

    def line(self, points, colour: str, width: int = 1) -> None:
        self._draw.line(_scaled(points), colour, width * SCALE, joint="curve")

    def dot(self, point, colour: str, radius: float = 2.5, ring: bool = False) -> None:
        self._draw.circle(_scaled([point])[0], radius * SCALE, "white" if ring else colour, colour, SCALE)

    def text(self, point, text: str, anchor: str, size: int = 14) -> None:
        font = ImageFont.load_default(size * SCALE)
        self._draw.text(_scaled([point])[0], text, INK, font, anchor)

    def row(self, y: float, text: str) -> None:
        """A line across the grid, and what it stands for."""
        self.line([(LEFT, y), (RIGHT, y)], GRID)
        self.text((LEFT - 8, y), text, "rm")

    def column(self, x: float, bottom: float, text: str) -> None:
        """A line down the grid, and what it stands for."""
        self.line([(x, TOP), (x, bottom)], GRID)
        self.text((x, bottom + 10), text, "mt")

    def axes(self, title: str, x_name: str) -> None:
        self.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK)
        self.text((LEFT, 12), title, "lt", size=18)
        self.text(((LEFT + RIGHT) / 2, SIZE[1] - 14), x_name, "mb")

    def curve(self, points, colour: str, rings: Collection[int] = ()) -> None:
        """Points joined by a line; those at the indices `rings` are rings, not dots."""
        self.line(points, colour, width=2)
        for index, point in enumerate(points):
            self.dot(point, colour, ring=index in rings)

    def legend(self, row: int, name: str, colour: str) -> None:
        """The curve's name, in the given row between title and axes."""
        y = 46 + 17 * row
        self.line([(LEFT, y), (LEFT + 28, y)], colour, width=2)
        self.dot((LEFT + 14, y), colour)
        self.text((LEFT + 36, y), name, "lm")


def _scaled(points) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]

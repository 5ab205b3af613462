"""Plots of numbers: by step on a logarithmic axis, by any value on a linear one, or many series on either."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from .pen import COLOURS, SHAPES, Frame, Pen

SIZE = (768, 512)
LEFT, TOP, RIGHT, BOTTOM = 84, 124, 740, 424  # of the axes, in pixels of SIZE; the row of zeros lies below
ZERO = 448  # the row where a value of 0 is drawn, which a logarithm has no place for
NARROW = Frame(SIZE, LEFT, TOP, RIGHT, BOTTOM, legend=(LEFT, 46), dot=2.5)  # up to five curves, named below the title
WIDE = Frame((1200, 720), 100, 80, 860, 640, legend=(884, 92), dot=4)  # many series, named at the right
SERIES_COLOURS = [*COLOURS, "#56b4e9", "#000000"]  # with SHAPES, 21 series are told apart
LEAST = 1e-9  # what smaller numbers are drawn as on the logarithmic axes of `draw_series`
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
    pen = Pen(NARROW)

    def place(step: int, value: float) -> tuple[float, float]:
        y = _between(BOTTOM, TOP, math.log10(value), low, high) if value else ZERO
        return _between(LEFT, RIGHT, step, 0, last), y

    for exponent in range(low, high + 1, _stride(high - low)):
        pen.row(place(0, 10.0**exponent)[1], f"1e{exponent}" if exponent else "1")
    for step in range(0, last + 1, _stride(last)):
        pen.column(place(step, 0)[0], ZERO, str(step))
    if 0 in values:
        pen.row(ZERO, "0")
    pen.axes(title, step_name, value_name)

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
    pen = Pen(NARROW)

    def place(x: float, y: float) -> tuple[float, float]:
        return _between(LEFT, RIGHT, x, left, right), _between(BOTTOM, TOP, y, low, high)

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


def draw_series(
    title: str,
    x_name: str,
    y_name: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    lines: bool,
    log_x: bool = False,
    log_y: bool = False,
) -> Image.Image:
    """Plot any series on linear or logarithmic axes; the picture is RGB, of WIDE's size.

    title, x_name, y_name: of the picture and its axes. series: x and y by what the legend calls them, finite, at least
    one point in all. lines: join the points of a series, in their order. On a logarithmic axis LEAST is drawn for what
    is less; a linear one has 0 on it.
    """
    pen = Pen(WIDE)
    x_axis, y_axis = (
        _Axis([value for points in series.values() for value in points[axis]], *ends, log)
        for axis, ends, log in ((0, (WIDE.left, WIDE.right), log_x), (1, (WIDE.bottom, WIDE.top), log_y))
    )
    for value in y_axis.ticks:
        pen.row(y_axis.place(value), f"{value:g}")
    for value in x_axis.ticks:
        pen.column(x_axis.place(value), WIDE.bottom, f"{value:g}")
    pen.axes(title, x_name, y_name)
    for number, (name, points) in enumerate(series.items()):
        colour, shape = SERIES_COLOURS[number % len(SERIES_COLOURS)], SHAPES[number % len(SHAPES)]
        placed = [(x_axis.place(x), y_axis.place(y)) for x, y in zip(*points, strict=True)]
        pen.curve(placed, colour, shape=shape, joined=lines)
        pen.legend(number, name, colour, shape, joined=lines)
    return pen.picture()


class _Axis:
    """An axis of `draw_series` between two pixels. ticks: the values to mark, the first and the last at its ends."""

    def __init__(self, values: Sequence[float], start: int, end: int, log: bool):
        self._start, self._end, self._log = start, end, log
        if log:
            self._low, self._high = _decades([max(value, LEAST) for value in values])
            self.ticks = [10.0**exponent for exponent in range(self._low, self._high + 1)]
            return
        low, high = min(0, *values), max(0, *values)
        high = high if high > low else low + 1
        stride = _stride(high - low, math.floor(math.log10(high - low)) - 2)
        self.ticks = [stride * n for n in range(math.floor(low / stride), math.ceil(high / stride) + 1)]
        self._low, self._high = self.ticks[0], self.ticks[-1]

    def place(self, value: float) -> float:
        """The pixel of a value."""
        number = math.log10(max(value, LEAST)) if self._log else value
        return _between(self._start, self._end, number, self._low, self._high)


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


def _between(start: int, end: int, value: float, low: float, high: float) -> float:
    """The pixel between start and end where a value stands that is between low and high."""
    return start + (end - start) * (value - low) / (high - low)

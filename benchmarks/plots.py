"""Plots with Pillow alone: lines or points on linear or logarithmic axes, with a legend."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 720
LEFT, TOP, RIGHT, BOTTOM = 100, 80, 860, 640  # the axes' box; the legend is right of it
COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"]
COLOURS += ["#000000", "#ee7733", "#009988", "#994455", "#999999"]
SMALLEST = 1e-9  # stands for 0 on a logarithmic axis

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def plot(
    path: Path, title: str, x_label: str, y_label: str, series: Series, *, lines: bool, log_x=False, log_y=False
) -> None:
    """Write a PNG. series: x and y by name, at least one point in all. lines: join the points of a series."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    small, large = ImageFont.load_default(16), ImageFont.load_default(20)
    xs, ys = ([value for points in series.values() for value in points[axis]] for axis in (0, 1))
    to_x, x_ticks = _axis(xs, LEFT, RIGHT, log_x)
    to_y, y_ticks = _axis(ys, BOTTOM, TOP, log_y)

    for value in x_ticks:
        draw.line([(to_x(value), TOP), (to_x(value), BOTTOM)], fill="#dddddd")
        draw.text((to_x(value), BOTTOM + 8), f"{value:g}", "black", small, anchor="ma")
    for value in y_ticks:
        draw.line([(LEFT, to_y(value)), (RIGHT, to_y(value))], fill="#dddddd")
        draw.text((LEFT - 8, to_y(value)), f"{value:g}", "black", small, anchor="rm")
    draw.rectangle([LEFT, TOP, RIGHT, BOTTOM], outline="black")
    draw.text(((LEFT + RIGHT) / 2, 12), title, "black", large, anchor="ma")
    draw.text(((LEFT + RIGHT) / 2, HEIGHT - 24), x_label, "black", small, anchor="mb")
    draw.text((8, TOP - 12), y_label, "black", small, anchor="lb")

    for number, (name, (x, y)) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [(to_x(one), to_y(other)) for one, other in zip(x, y, strict=True)]
        if lines:
            draw.line(points, fill=colour, width=3)
        for point in points:
            _marker(draw, number, point, colour)
        row = TOP + 12 + 28 * number
        _marker(draw, number, (RIGHT + 24, row), colour)
        draw.text((RIGHT + 40, row), name, "black", small, anchor="lm")
    picture.save(path)


def _axis(values: Sequence[float], start: int, end: int, log: bool) -> tuple[Callable[[float], float], list[float]]:
    """From a value to its place between the pixels start and end, and the values to mark."""
    if log:
        exponents = [math.log10(max(value, SMALLEST)) for value in values]
        low, high = math.floor(min(exponents)), max(math.ceil(max(exponents)), math.floor(min(exponents)) + 1)
        ticks = [10.0**exponent for exponent in range(low, high + 1)]
        return lambda value: start + (end - start) * (math.log10(max(value, SMALLEST)) - low) / (high - low), ticks
    low, high = min(0, *values), max(values)
    high = high if high > low else low + 1
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    while (high - low) / step > 8:
        step *= 2 if str(step).strip("0.")[0] != "2" else 2.5
    first, last = math.floor(low / step), math.ceil(high / step)
    low, high = step * first, step * last
    ticks = [step * tick for tick in range(first, last + 1)]
    return lambda value: start + (end - start) * (value - low) / (high - low), ticks


def _marker(draw: ImageDraw.ImageDraw, number: int, centre: tuple[float, float], colour: str) -> None:
    """A disc, a square, or a diamond, so that colours may come again."""
    x, y = centre
    box = [x - 5, y - 5, x + 5, y + 5]
    if number % 3 == 0:
        draw.ellipse(box, colour)
    elif number % 3 == 1:
        draw.rectangle(box, colour)
    else:
        draw.polygon([(x - 7, y), (x, y - 7), (x + 7, y), (x, y + 7)], colour)

"""A tiled wall, a counter, a window."""

from itertools import pairwise

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, moved, rectangle, rounded, smooth, stroke
from pocket.world.colours import darker, lighter, lit, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import BOOKS, LAMPLIGHT, LAMPLIT


def draw_kitchen(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """A tiled wall, cupboards, a window, a counter with things on it, a checked floor."""
    evening = scene.time == "in the evening"
    light = LAMPLIT if evening else (1.0, 1.0, 1.0)
    walls = tuple(map(rgb, ("#f3dfb9", "#d6e4d2", "#f2cfc0")))
    fronts = tuple(map(rgb, ("#5f938c", "#d98467", "#6f86b0")))
    pick = rng.integers(3)
    wall, front = lit(walls[pick], light), lit(fronts[pick], light)
    counter, floor = 0.6, 0.82
    canvas.gradient(rectangle(0, 0, 1, counter), wall, lighter(wall, 0.12))
    tile = lighter(wall, 0.5)
    canvas.polygon(rectangle(0, 0.4, 1, counter), tile)
    for y in (0.4, 0.466, 0.533):
        canvas.polygon(rectangle(0, y, 1, y + 0.005), darker(tile, 0.14))
    for x in np.arange(0.03, 1, 0.0667):
        canvas.polygon(rectangle(x, 0.4, x + 0.005, counter), darker(tile, 0.14))
    side = rng.choice((-1, 1))
    _kitchen_window(canvas, 0.5 - side * rng.uniform(0.02, 0.08), evening)
    _cupboard(canvas, 0.5 + side * 0.36, 0.02, 0.32, front)
    _shelf(canvas, rng, 0.5 - side * 0.4, 0.28, light)
    # counter and base units
    canvas.polygon(rectangle(0, counter, 1, floor), front)
    for x in np.arange(0.0, 1, 0.25):
        canvas.polygon(rounded(x + 0.015, counter + 0.055, x + 0.235, floor - 0.02, 0.012), darker(front, 0.14))
        canvas.polygon(rounded(x + 0.022, counter + 0.062, x + 0.228, floor - 0.027, 0.01), front)
        canvas.polygon(
            capsule((x + 0.1, counter + 0.08), (x + 0.15, counter + 0.08), 0.006, 0.006), lit(rgb("#e9c77f"), light)
        )
    stone = lit(rgb("#f4ead8"), light)
    canvas.polygon(rectangle(0, counter - 0.005, 1, counter + 0.035), stone)
    canvas.polygon(rectangle(0, counter + 0.035, 1, counter + 0.045), darker(front, 0.3))
    _checked_floor(canvas, floor, light)
    spot = 0.5 + side * rng.uniform(0.24, 0.36)
    if scene.feature == "a bowl of lemons":
        for dx, dy in ((-0.05, 0.07), (0.0, 0.085), (0.05, 0.07), (-0.02, 0.115), (0.03, 0.115)):
            canvas.polygon(ellipse(spot + dx, counter - dy, 0.036, 0.029), lit(rgb("#f6d04c"), light))
        angles = np.linspace(0, np.pi, 15)
        bowl = np.stack([spot + 0.1 * np.cos(angles), counter - 0.075 + 0.075 * np.sin(angles)], axis=1)
        canvas.polygon(bowl, lit(rgb("#4f7fb0"), light))
    elif scene.feature == "a kettle":
        _kettle(canvas, spot, counter, light, side)
    else:
        copper = lit(rgb("#cf7d4a"), light)
        canvas.polygon(rectangle(spot - 0.16, 0.345, spot + 0.16, 0.357), darker(copper, 0.5))
        for dx, size in ((-0.11, 0.05), (0.0, 0.06), (0.11, 0.045)):
            canvas.polygon(stroke([(spot + dx, 0.35), (spot + dx, 0.42)], 0.012), darker(copper, 0.4))
            canvas.polygon(ellipse(spot + dx, 0.42 + size, size), copper)
            canvas.polygon(ellipse(spot + dx - 0.006, 0.42 + size - 0.006, size * 0.72), lighter(copper, 0.25))
    if evening:
        x = 0.5 + side * 0.12
        canvas.glow(x, 0.2, 0.55, LAMPLIGHT, 0.6)
        canvas.polygon(stroke([(x, -0.01), (x, 0.08)], 0.008), rgb("#4a342c"))
        dome = np.linspace(np.pi, 2 * np.pi, 15)
        canvas.polygon(np.stack([x + 0.085 * np.cos(dome), 0.155 + 0.085 * np.sin(dome)], axis=1), rgb("#c9584a"))
        canvas.polygon(ellipse(x, 0.155, 0.07, 0.014), (255, 244, 206))


def _kitchen_window(canvas, x, evening):
    canvas.polygon(rectangle(x - 0.15, 0.07, x + 0.15, 0.36), (250, 243, 230))
    pane = rectangle(x - 0.13, 0.09, x + 0.13, 0.34)
    canvas.gradient(pane, *(map(rgb, ("#2a3164", "#5a5c94"))) if evening else map(rgb, ("#9fd6ec", "#fdf2d2")))
    with canvas.clip(pane):
        hill = rgb("#39446f") if evening else rgb("#94c07a")
        canvas.polygon(ellipse(x - 0.08, 0.37, 0.17, 0.1), hill)
        canvas.polygon(ellipse(x + 0.12, 0.38, 0.14, 0.09), darker(hill, 0.14))
        canvas.dot(x + 0.07, 0.15, 0.024, (255, 240, 200))
    canvas.polygon(rectangle(x - 0.006, 0.08, x + 0.006, 0.35), (250, 243, 230))
    canvas.polygon(rectangle(x - 0.14, 0.205, x + 0.14, 0.216), (250, 243, 230))
    canvas.polygon(rectangle(x - 0.17, 0.35, x + 0.17, 0.375), (236, 222, 200))


def _cupboard(canvas, x, top, bottom, colour):
    canvas.polygon(rectangle(x - 0.19, top, x + 0.19, bottom), darker(colour, 0.1))
    for left in (x - 0.18, x + 0.005):
        canvas.polygon(rounded(left, top + 0.012, left + 0.175, bottom - 0.012, 0.012), lighter(colour, 0.1))
        canvas.polygon(rounded(left + 0.02, top + 0.035, left + 0.155, bottom - 0.035, 0.01), colour)
    for dx in (-0.022, 0.022):
        canvas.dot(x + dx, (top + bottom) / 2, 0.008, (236, 206, 140))


def _shelf(canvas, rng, x, y, light):
    canvas.polygon(rectangle(x - 0.13, y, x + 0.13, y + 0.018), lit(rgb("#a9744c"), light))
    colours = [lit(colour, light) for colour in BOOKS]
    for dx, pick in zip((-0.09, -0.02, 0.05), rng.integers(len(colours), size=3), strict=True):
        high = rng.uniform(0.06, 0.09)
        canvas.polygon(rounded(x + dx - 0.026, y - high, x + dx + 0.026, y, 0.01), colours[pick])
        canvas.polygon(
            rectangle(x + dx - 0.02, y - high - 0.014, x + dx + 0.02, y - high + 0.004), darker(colours[pick], 0.3)
        )
    green = lit(rgb("#6f9f5d"), light)
    for angle in np.radians((-140, -110, -80, -50)):
        tip = (x + 0.105 + 0.08 * np.cos(angle), y - 0.05 + 0.08 * np.sin(angle))
        canvas.polygon(capsule((x + 0.105, y - 0.05), tip, 0.008, 0.017), green)
    canvas.polygon(
        np.array([(x + 0.08, y - 0.055), (x + 0.13, y - 0.055), (x + 0.122, y), (x + 0.088, y)]),
        lit(rgb("#d9784f"), light),
    )


def _kettle(canvas, x, counter, light, side):
    red = lit(rgb("#d2544a"), light)
    canvas.polygon(
        stroke(smooth([(x - 0.06, counter - 0.1), (x, counter - 0.2), (x + 0.06, counter - 0.1)], closed=False), 0.018),
        rgb("#4a3a3c"),
    )
    canvas.polygon(
        stroke([(x + side * -0.05, counter - 0.05), (x + side * -0.14, counter - 0.13)], [0.04, 0.022]),
        darker(red, 0.15),
    )
    body = [
        (x - 0.09, counter),
        (x - 0.095, counter - 0.06),
        (x - 0.05, counter - 0.125),
        (x + 0.05, counter - 0.125),
        (x + 0.095, counter - 0.06),
        (x + 0.09, counter),
    ]
    canvas.polygon(smooth(body), red)
    canvas.polygon(ellipse(x - 0.035, counter - 0.075, 0.018, 0.03), lighter(red, 0.5))
    canvas.dot(x, counter - 0.135, 0.015, rgb("#4a3a3c"))


def _checked_floor(canvas, top, light):
    pale, dark = lit(rgb("#f0e2c8"), light), lit(rgb("#d3b48f"), light)
    canvas.polygon(rectangle(0, top, 1, 1), pale)
    rows = (top, 0.87, 0.93, 1.0)
    for row, (y, below) in enumerate(pairwise(rows)):
        spread, wider = 1 + 0.5 * (y - top) / 0.18, 1 + 0.5 * (below - top) / 0.18
        for column in range(-6, 6):
            if (row + column) % 2:
                a, b = 0.13 * column, 0.13 * (column + 1)
                corners = [(a * spread, y), (b * spread, y), (b * wider, below), (a * wider, below)]
                canvas.polygon(moved(corners, 0.5, 0), dark)

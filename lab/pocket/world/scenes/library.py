"""Books along the wall."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, rectangle, rounded, smooth, stroke
from pocket.world.colours import darker, lighter, lit, mix, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import BOOKS, LAMPLIGHT, LAMPLIT


def draw_library(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Shelves of books along the wall, a window, a wooden floor with a rug."""
    evening = scene.time == "by lamplight"
    light = LAMPLIT if evening else (1.0, 1.0, 1.0)
    wood = lit(mix(rgb("#9a6443"), rgb("#7a4a3a"), rng.uniform()), light)
    wall = lit(rgb("#ead9b8"), light)
    floor = 0.76
    canvas.gradient(rectangle(0, 0, 1, floor), wall, darker(wall, 0.08))
    side = rng.choice((-1, 1))
    window = 0.5 + side * rng.uniform(0.0, 0.08)
    for left, right in ((-0.02, window - 0.15), (window + 0.15, 1.02)):
        _shelves(canvas, rng, left, right, floor, wood, light)
    _arched_window(canvas, window, evening)
    board = lit(rgb("#c08a58"), light)
    canvas.gradient(rectangle(0, floor, 1, 1), darker(board, 0.12), board)
    for y in (0.8, 0.86, 0.93):
        canvas.polygon(rectangle(0, y, 1, y + 0.004), darker(board, 0.25))
    rug = lit(rgb("#b4544c") if rng.uniform() < 0.5 else rgb("#4d7a80"), light)
    canvas.polygon(ellipse(0.5, 0.93, 0.44, 0.085), rug)
    canvas.polygon(ellipse(0.5, 0.93, 0.38, 0.066), lighter(rug, 0.45))
    canvas.polygon(ellipse(0.5, 0.93, 0.365, 0.06), rug)
    if scene.feature == "an armchair":
        _armchair(canvas, 0.5 + side * 0.33, 0.93, lit(rgb("#5d8a72"), light))
    elif scene.feature == "a ladder":
        x = 0.5 + side * rng.uniform(0.3, 0.38)
        pale = lit(rgb("#e0ae70"), light)
        for dx in (-0.055, 0.055):
            canvas.polygon(stroke([(x + dx * 1.25, 0.84), (x + dx * 0.8 - side * 0.03, 0.06)], 0.022), pale)
        for y in np.arange(0.14, 0.82, 0.1):
            canvas.polygon(capsule((x - 0.06, y), (x + 0.055, y), 0.009, 0.009), darker(pale, 0.15))
    else:
        _globe(canvas, 0.5 + side * rng.uniform(0.28, 0.36), 0.92, light)
    if evening:
        for x in (window - 0.32, window + 0.32):
            canvas.glow(x, 0.2, 0.42, LAMPLIGHT, 0.6)
            canvas.polygon(stroke([(x, -0.01), (x, 0.1)], 0.008), rgb("#4a342c"))
            canvas.polygon(
                np.array([(x - 0.035, 0.1), (x + 0.035, 0.1), (x + 0.075, 0.18), (x - 0.075, 0.18)]), rgb("#3f7f63")
            )
            canvas.polygon(ellipse(x, 0.18, 0.06, 0.014), (255, 240, 196))
    else:
        canvas.glow(window, 0.36, 0.5, (255, 244, 206), 0.5)


def _shelves(canvas, rng, left, right, floor, wood, light):
    canvas.polygon(rectangle(left, 0.0, right, floor), wood)
    columns = max(round((right - left) / 0.21), 1)
    edges = np.linspace(left, right, columns + 1)
    rows = np.linspace(0.02, floor - 0.02, 6)
    colours = [lit(colour, light) for colour in BOOKS]
    back = darker(wood, 0.5)
    for a, b in zip(edges[:-1] + 0.012, edges[1:] - 0.012, strict=True):
        for top, bottom in zip(rows[:-1] + 0.008, rows[1:] - 0.008, strict=True):
            canvas.polygon(rectangle(a, top, b, bottom), back)
            widths, heights = rng.uniform(0.017, 0.034, 12), rng.uniform(0.66, 0.95, 12)
            picks = rng.integers(len(colours), size=12)
            x = a + 0.003
            for width, height, pick in zip(widths, heights, picks, strict=True):
                if x + width > b:
                    break
                y = bottom - height * (bottom - top)
                canvas.polygon(rectangle(x, y, x + width - 0.002, bottom), colours[pick])
                if width > 0.025:
                    canvas.polygon(rectangle(x, y + 0.02, x + width - 0.002, y + 0.03), lighter(colours[pick], 0.4))
                x += width


def _arched_window(canvas, x, evening):
    angles = np.linspace(np.pi, 2 * np.pi, 21)

    def arch(half, top, bottom):
        curve = np.stack([x + half * np.cos(angles), top + half * np.sin(angles)], axis=1)
        return np.concatenate([curve, [(x + half, bottom), (x - half, bottom)]])

    canvas.polygon(arch(0.125, 0.2, 0.58), rgb("#6a4636"))
    pane = arch(0.105, 0.2, 0.56)
    if evening:
        canvas.gradient(pane, rgb("#232b5c"), rgb("#4f5590"))
        for dx, y in ((-0.05, 0.2), (0.04, 0.15), (0.02, 0.3), (-0.03, 0.36)):
            canvas.dot(x + dx, y, 0.006, (255, 240, 206))
    else:
        canvas.gradient(pane, rgb("#a9dcec"), rgb("#fff3cf"))
        with canvas.clip(pane):
            canvas.polygon(ellipse(x - 0.06, 0.57, 0.12, 0.09), rgb("#8fbb73"))
            canvas.polygon(ellipse(x + 0.08, 0.58, 0.1, 0.12), rgb("#76a865"))
    for bar in ([(x, 0.09), (x, 0.57)], [(x - 0.11, 0.3), (x + 0.11, 0.3)], [(x - 0.11, 0.44), (x + 0.11, 0.44)]):
        canvas.polygon(stroke(bar, 0.012), rgb("#6a4636"))


def _armchair(canvas, x, foot, colour):
    dark = darker(colour, 0.25)
    canvas.polygon(rounded(x - 0.13, foot - 0.36, x + 0.13, foot - 0.04, 0.07), dark)
    canvas.polygon(rounded(x - 0.105, foot - 0.33, x + 0.105, foot - 0.08, 0.05), colour)
    canvas.polygon(rounded(x - 0.13, foot - 0.17, x + 0.13, foot - 0.03, 0.03), lighter(colour, 0.15))
    for dx in (-0.14, 0.14):
        canvas.polygon(rounded(x + dx - 0.035, foot - 0.23, x + dx + 0.035, foot - 0.02, 0.034), dark)
        canvas.polygon(rectangle(x + dx - 0.015, foot - 0.02, x + dx + 0.015, foot + 0.01), rgb("#5a3d33"))


def _globe(canvas, x, foot, light):
    brass = lit(rgb("#b98544"), light)
    canvas.polygon(stroke([(x, foot), (x, foot - 0.2)], 0.02), brass)
    canvas.polygon(ellipse(x, foot, 0.075, 0.02), darker(brass, 0.2))
    y = foot - 0.3
    ball = ellipse(x, y, 0.11)
    canvas.polygon(ellipse(x, y, 0.125), brass)
    canvas.polygon(ball, lit(rgb("#6fb1c8"), light))
    with canvas.clip(ball):
        green = lit(rgb("#8fb56a"), light)
        canvas.polygon(
            smooth([(x - 0.1, y - 0.07), (x - 0.02, y - 0.08), (x - 0.01, y), (x - 0.05, y + 0.08), (x - 0.09, y)]),
            green,
        )
        canvas.polygon(
            smooth([(x + 0.03, y - 0.05), (x + 0.1, y - 0.06), (x + 0.11, y + 0.03), (x + 0.05, y + 0.06)]), green
        )
        canvas.polygon(ellipse(x + 0.1, y + 0.05, 0.1, 0.12), (50, 40, 70), 0.2)

"""Dunes under a wide sky."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, rectangle, smooth, stroke
from pocket.world.colours import darker, lighter, mix, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import SUNSET_GOLD, down_to, draw_haze, draw_palm, draw_sky, draw_sun


def draw_desert(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Two-coloured dunes under a wide sky."""
    sunset, hazy = scene.time == "at sunset", scene.weather == " hazy"
    draw_sky(canvas, ("dull sunset" if hazy else "sunset") if sunset else ("grey" if hazy else "day"), 0.6)
    side = rng.choice((-1, 1))
    draw_sun(
        canvas,
        0.5 - side * rng.uniform(0.12, 0.3),
        0.42 if sunset else 0.16,
        0.085,
        SUNSET_GOLD if sunset else (255, 240, 190),
    )
    sand = rgb("#edb46a") if not sunset else rgb("#d9835a")
    sky = rgb("#f2e6cc") if not sunset else rgb("#f3c490")
    if scene.feature == "red rocks":
        rock = mix(rgb("#b5593c"), rgb("#7a4466"), 0.35 * sunset)
        for dx, width, height in ((0.34, 0.34, 0.3), (-0.3, 0.2, 0.2), (0.06, 0.12, 0.15)):
            _mesa(canvas, 0.5 + side * dx, 0.64, width, height * rng.uniform(0.85, 1.1), mix(rock, sky, 0.4 * hazy))
    for depth, y in enumerate((0.58, 0.68, 0.8)):
        colour = mix(sand, sky, (0.55, 0.25, 0.0)[depth] + 0.2 * hazy)
        crest = rng.uniform(0.25, 0.75)
        height = rng.uniform(0.07, 0.1)
        ends = rng.uniform(0.0, 0.05, 2)
        line = smooth(
            [(-0.2, y + ends[0]), (crest - 0.3, y), (crest, y - height), (crest + 0.35, y), (1.2, y + ends[1])],
            closed=False,
        )
        canvas.gradient(down_to(line), lighter(colour, 0.25), colour)
        right = line[line[:, 0] >= crest]
        inner = smooth(
            [
                (crest, right[0, 1]),
                (crest - 0.02, y + 0.01),
                (crest - 0.1, y + 0.07),
                (crest - 0.06, y + 0.14),
                (crest - 0.2, y + 0.3),
            ],
            closed=False,
        )
        canvas.gradient(
            np.concatenate([right, [(1.2, y + 0.3)], inner[::-1]]), darker(colour, 0.26), darker(colour, 0.1)
        )
    for y in (0.87, 0.92, 0.97):
        ripple = smooth([(-0.1, y), (0.25, y - 0.012), (0.6, y + 0.008), (1.1, y - 0.01)], closed=False)
        canvas.polygon(stroke(ripple, 0.006), darker(sand, 0.16))
    if scene.feature == "an oasis":
        _oasis(canvas, 0.5 + side * rng.uniform(0.22, 0.32), 0.84, side)
    elif scene.feature == "cacti":
        for dx, foot, height in ((0.37, 0.86, 0.4), (-0.38, 0.8, 0.24), (0.22, 0.76, 0.15)):
            _cactus(canvas, 0.5 + side * dx, foot, height * rng.uniform(0.9, 1.1), side)
    if hazy:
        draw_haze(canvas, 0.6, 0.2, sky, 0.7)


def _mesa(canvas, x, foot, width, height, colour):
    w = width / 2
    shape = [(x - 1.15 * w, foot), (x - 0.85 * w, foot - 0.4 * height), (x - 0.78 * w, foot - 0.95 * height)]
    shape += [(x - 0.6 * w, foot - height), (x + 0.6 * w, foot - height), (x + 0.8 * w, foot - 0.92 * height)]
    shape += [(x + 0.86 * w, foot - 0.4 * height), (x + 1.2 * w, foot)]
    canvas.polygon(np.array(shape), colour)
    with canvas.clip(np.array(shape)):
        for y in (0.25, 0.5, 0.75):
            canvas.polygon(
                rectangle(x - 2 * w, foot - (y + 0.06) * height, x + 2 * w, foot - y * height), lighter(colour, 0.2)
            )
        canvas.polygon(rectangle(x + 0.25 * w, 0, x + 2 * w, foot), darker(colour, 0.3), 0.5)


def _cactus(canvas, x, foot, height, side):
    green, r = rgb("#4f8a5b"), 0.1 * height
    shade = darker(green, 0.22)
    for colour, shift in ((green, 0.0), (shade, 0.45 * r)):
        slim = 1.0 if not shift else 0.45
        canvas.polygon(capsule((x + shift, foot), (x + shift, foot - height), r * slim, r * slim), colour)
    for arm, low, high, reach in ((side, 0.42, 0.78, 2.6), (-side, 0.3, 0.58, 2.4)):
        elbow = (x + arm * reach * r, foot - low * height)
        canvas.polygon(capsule((x, foot - low * height), elbow, 0.7 * r, 0.7 * r), shade if arm > 0 else green)
        canvas.polygon(capsule(elbow, (elbow[0], foot - high * height), 0.7 * r, 0.7 * r), shade if arm > 0 else green)


def _oasis(canvas, x, y, side):
    canvas.polygon(ellipse(x, y + 0.005, 0.2, 0.042), rgb("#7fa35c"))
    canvas.gradient(ellipse(x, y, 0.16, 0.03), rgb("#9fd6de"), rgb("#4c9cb8"))
    draw_palm(canvas, x + side * 0.12, y, side, 0.27)
    draw_palm(canvas, x + side * 0.17, y + 0.015, -side, 0.21)

"""House fronts and a street."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, rectangle, rounded, stroke
from pocket.world.colours import darker, lighter, lit, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import LAMPLIGHT, draw_clouds, draw_sky, draw_stars


def draw_city(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Two rows of house fronts, a pavement, a street with a crossing."""
    night, rain = scene.time == "at night", scene.weather == " rainy"
    draw_sky(canvas, "night" if night else "grey" if rain else "day", 0.6)
    if night and not rain:
        draw_stars(canvas, rng, 16, 0.3)
    elif not night:
        draw_clouds(canvas, rng, 4 if rain else 2, 0.25, (196, 202, 208) if rain else (255, 252, 244))
    light = (0.42, 0.42, 0.66) if night else (0.84, 0.87, 0.92) if rain else (1.0, 1.0, 1.0)
    street = 0.76
    far = lit(rgb("#b9c0d6"), light)
    x = -0.05
    while x < 1:
        width = rng.uniform(0.08, 0.15)
        top = rng.uniform(0.14, 0.36)
        canvas.polygon(rectangle(x, top, x + width, street), far if rng.uniform() < 0.5 else lighter(far, 0.12))
        _windows(
            canvas, rng, x + 0.014, top + 0.025, x + width - 0.01, 0.6, 0.018, 0.5, night, lit((224, 230, 240), light)
        )
        x += width
    fronts = tuple(map(rgb, ("#d98067", "#e7b777", "#8fb0a6", "#c98d9c", "#e9d6b3", "#7f93b8")))
    start = rng.integers(len(fronts))
    x = -rng.uniform(0.02, 0.12)
    number = 0
    side = rng.choice((-1, 1))
    while x < 1:
        width = rng.uniform(0.2, 0.28)
        if not (0.36 < x + width / 2 < 0.64):  # a gap lets the far houses show
            _house(
                canvas,
                rng,
                x,
                rng.uniform(0.2, 0.34),
                x + width,
                street,
                lit(fronts[(start + number) % 6], light),
                night,
            )
        number += 1
        x += width
    pavement = lit(rgb("#d8cdbc"), light)
    canvas.polygon(rectangle(0, street, 1, 0.86), pavement)
    canvas.polygon(rectangle(0, 0.85, 1, 0.865), darker(pavement, 0.3))
    road = lit(rgb("#81808c"), light)
    canvas.gradient(rectangle(0, 0.865, 1, 1), road, darker(road, 0.12))
    for x in np.arange(0.05, 1, 0.2):
        canvas.polygon(
            np.array([(x, 0.9), (x + 0.1, 0.9), (x + 0.09, 0.99), (x - 0.03, 0.99)]), lit((245, 238, 224), light), 0.8
        )
    if scene.feature == "a café":
        _cafe(canvas, 0.5 + side * 0.31, street, light, night)
    elif scene.feature == "a bus":
        _bus(canvas, 0.5 + side * 0.3, 0.9, light, night)
    else:
        _lamp(canvas, 0.5 + side * rng.uniform(0.3, 0.4), 0.85, night)
        _lamp(canvas, 0.5 - side * 0.42, 0.8, night)
    if rain:
        for x, y, w in rng.uniform((0, 0.8, 0.05), (1, 0.98, 0.13), (5, 3)):
            canvas.polygon(ellipse(x, y, w, 0.013), LAMPLIGHT if night else (226, 234, 240), 0.4)
        for x, y in rng.uniform((0, 0), (1, 0.95), (45, 2)):
            canvas.polygon(stroke([(x, y), (x - 0.016, y + 0.055)], 0.005), (214, 226, 244), 0.6)


def _windows(canvas, rng, left, top, right, bottom, size, gap, night, glass):
    xs = np.arange(left, right - size, size * (1 + gap))
    ys = np.arange(top, bottom - size, size * (1.5 + gap))
    on = rng.uniform(size=(len(ys), len(xs))) < 0.55
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            colour = (LAMPLIGHT if on[row, column] else (54, 58, 104)) if night else glass
            canvas.polygon(rectangle(x, y, x + size, y + 1.3 * size), colour)


def _house(canvas, rng, left, top, right, bottom, colour, night):
    canvas.gradient(rectangle(left, top, right, bottom), lighter(colour, 0.1), colour)
    canvas.polygon(rectangle(left - 0.008, top - 0.02, right + 0.008, top + 0.012), darker(colour, 0.28))
    canvas.polygon(rectangle(right - 0.03, top, right, bottom), darker(colour, 0.16))
    columns = np.linspace(left + 0.045, right - 0.055, 3)
    for y in np.arange(top + 0.05, bottom - 0.2, 0.105):
        for x in columns:
            on = night and rng.uniform() < 0.6
            glass = LAMPLIGHT if on else (58, 62, 108) if night else (206, 228, 236)
            canvas.polygon(rectangle(x - 0.023, y - 0.006, x + 0.023, y + 0.062), lighter(colour, 0.5))
            canvas.polygon(rectangle(x - 0.017, y, x + 0.017, y + 0.056), glass)
    door = (left + right) / 2
    canvas.polygon(rounded(door - 0.03, bottom - 0.13, door + 0.03, bottom + 0.02, 0.02), darker(colour, 0.45))


def _lamp(canvas, x, foot, night):
    iron = rgb("#3a3c50")
    canvas.polygon(stroke([(x, foot), (x, foot - 0.5)], 0.016), iron)
    canvas.polygon(capsule((x, foot), (x, foot - 0.05), 0.018, 0.012), iron)
    if night:
        canvas.glow(x, foot - 0.54, 0.26, LAMPLIGHT, 0.85)
    canvas.polygon(
        np.array(
            [(x - 0.035, foot - 0.58), (x + 0.035, foot - 0.58), (x + 0.022, foot - 0.5), (x - 0.022, foot - 0.5)]
        ),
        (255, 240, 190) if night else (240, 236, 220),
    )
    canvas.polygon(np.array([(x - 0.042, foot - 0.578), (x + 0.042, foot - 0.578), (x, foot - 0.625)]), iron)


def _cafe(canvas, x, street, light, night):
    pane = LAMPLIGHT if night else (226, 236, 232)
    front = lit(rgb("#5b4a58"), light)
    canvas.polygon(rectangle(x - 0.19, street - 0.27, x + 0.19, street + 0.02), front)
    canvas.polygon(rectangle(x - 0.16, street - 0.2, x + 0.03, street - 0.04), pane)
    canvas.polygon(rectangle(x + 0.07, street - 0.2, x + 0.15, street + 0.02), lighter(pane, 0.2))
    stripes = (lit(rgb("#d9534b"), _half(light)), lit((255, 246, 230), _half(light)))
    for number, left in enumerate(np.linspace(x - 0.2, x + 0.2, 9)[:-1]):
        right = left + 0.05
        canvas.polygon(
            np.array(
                [
                    (left, street - 0.28),
                    (right, street - 0.28),
                    (x + (right - x) * 1.12, street - 0.19),
                    (x + (left - x) * 1.12, street - 0.19),
                ]
            ),
            stripes[number % 2],
        )
        canvas.dot(x + (left + 0.025 - x) * 1.12, street - 0.19, 0.026, stripes[number % 2])
    for dx in (-0.14, 0.1):
        canvas.polygon(stroke([(x + dx, street + 0.075), (x + dx, street + 0.0)], 0.012), rgb("#4a3d45"))
        canvas.polygon(ellipse(x + dx, street - 0.002, 0.05, 0.014), lit((250, 240, 222), light))


def _half(light: tuple[float, float, float]) -> tuple[float, float, float]:
    """Half of `light`, half white: what stands under a lamp."""
    return tuple((1 + value) / 2 for value in light)


def _bus(canvas, x, foot, light, night):
    red = lit(rgb("#cf4a41"), _half(light))
    canvas.polygon(rounded(x - 0.3, foot - 0.31, x + 0.3, foot - 0.03, 0.035), red)
    canvas.polygon(rectangle(x - 0.3, foot - 0.12, x + 0.3, foot - 0.1), lighter(red, 0.6))
    glass = LAMPLIGHT if night else (216, 234, 240)
    for left in np.linspace(x - 0.27, x + 0.15, 5):
        canvas.polygon(rounded(left, foot - 0.27, left + 0.09, foot - 0.15, 0.012), glass)
    for dx in (-0.18, 0.18):
        canvas.polygon(ellipse(x + dx, foot - 0.03, 0.052), rgb("#34323f"))
        canvas.polygon(ellipse(x + dx, foot - 0.03, 0.024), rgb("#c9c4c0"))

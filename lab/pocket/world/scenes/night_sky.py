"""Stars and more above dark hills."""

import numpy as np

from pocket.world.canvas import Canvas, ellipse, moved, smooth, stroke
from pocket.world.colours import rgb
from pocket.world.scene import Scene
from pocket.world.scenery import down_to, draw_haze, draw_pine, draw_sky, draw_stars, ridge


def draw_night_sky(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Stars and more above dark hills."""
    draw_sky(canvas, "night", 0.76)
    side = rng.choice((-1, 1))
    aurora = scene.weather == " aurora-lit"
    if aurora:
        for colour, y in ((rgb("#49d6a2"), 0.3), (rgb("#7be0c8"), 0.42), (rgb("#a573d8"), 0.2)):
            _curtain(canvas, rng, y, colour)
    else:
        start, end = np.array([-0.1, 0.5]), np.array([1.1, 0.02])
        if side < 0:
            start, end = moved(end, -1.2, 0), moved(start, 1.2, 0)
        for share in np.linspace(0, 1, 9):
            x, y = start + share * (end - start) + rng.uniform(-0.03, 0.03, 2)
            canvas.glow(x, y, 0.2, rgb("#8f8fd6"), 0.38, ry=0.15)
    draw_stars(canvas, rng, 40 if aurora else 80, 0.68)
    if scene.feature == "a full moon":
        x, y, r = 0.5 + side * rng.uniform(0.22, 0.34), rng.uniform(0.15, 0.24), rng.uniform(0.09, 0.115)
        canvas.glow(x, y, r * 3, (255, 236, 190), 0.6)
        canvas.polygon(ellipse(x, y, r), (255, 243, 212))
        for dx, dy, radius in ((-0.3, -0.2, 0.24), (0.3, 0.3, 0.2), (0.25, -0.4, 0.13), (-0.25, 0.42, 0.12)):
            canvas.polygon(ellipse(x + dx * r, y + dy * r, radius * r), (236, 216, 178))
    elif scene.feature == "a shooting star":
        x, y = 0.5 + side * rng.uniform(0.1, 0.3), rng.uniform(0.14, 0.26)
        tail = np.array([(x, y), (x + side * 0.3, y - 0.16)])
        canvas.polygon(stroke(tail, [0.022, 0.0]), (214, 222, 255))
        canvas.glow(x, y, 0.06, (255, 246, 214), 0.9)
        canvas.dot(x, y, 0.014, (255, 252, 236))
    glow = rgb("#3d7d84") if aurora else rgb("#6a6ea6")
    draw_haze(canvas, 0.72, 0.14, glow, 0.6)
    canvas.polygon(down_to(ridge(rng, 0.7, 0.08, 4)), rgb("#2f3a69"))
    far = ridge(rng, 0.78, 0.06, 3)
    canvas.polygon(down_to(far), rgb("#253057"))
    for x in rng.uniform(0, 1, 7):
        draw_pine(canvas, x, 0.82, rng.uniform(0.1, 0.2), rgb("#1f2a4e"))
    canvas.gradient(down_to(ridge(rng, 0.84, 0.03, 3)), rgb("#34426f"), rgb("#1f2a4c"))
    if scene.feature == "a tent":
        x, y = 0.5 + side * rng.uniform(0.26, 0.32), 0.92
        canvas.glow(x, y - 0.08, 0.3, rgb("#ffb45e"), 0.6)
        canvas.polygon(np.array([(x - 0.17, y), (x, y - 0.23), (x + 0.17, y)]), rgb("#e07a3f"))
        canvas.polygon(np.array([(x, y - 0.23), (x + 0.17, y), (x + 0.05, y)]), rgb("#b95637"))
        canvas.polygon(np.array([(x - 0.06, y), (x, y - 0.17), (x + 0.05, y)]), rgb("#ffe2a0"))


def _curtain(canvas, rng, y, colour):
    knots = np.stack([np.linspace(-0.1, 1.1, 6), y + rng.uniform(-0.08, 0.08, 6)], axis=1)
    for x, middle in smooth(knots, closed=False)[::3]:
        canvas.glow(x, middle, 0.1, colour, 0.6, ry=0.24)

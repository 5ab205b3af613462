"""Sky, sea and sand."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, moved, rectangle, stroke
from pocket.world.colours import darker, lighter, mix, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import down_to, draw_clouds, draw_palm, draw_sky, draw_sun, ridge


def draw_beach(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Sky, a striped sea, wet and dry sand."""
    sunset, cloudy = scene.time == "at sunset", scene.weather == " cloudy"
    horizon = rng.uniform(0.4, 0.5)
    side = rng.choice((-1, 1))
    draw_sky(canvas, ("dull sunset" if cloudy else "sunset") if sunset else ("grey" if cloudy else "day"), horizon)
    if not cloudy:
        x = 0.5 - side * rng.uniform(0.1, 0.35)
        draw_sun(canvas, x, horizon - 0.06 if sunset else rng.uniform(0.1, 0.2), 0.075 if sunset else 0.055)
    white = (255, 226, 200) if sunset else (255, 252, 244)
    draw_clouds(canvas, rng, 5 if cloudy else 2, horizon - 0.14, darker(white, 0.14) if cloudy else white)
    deep, shallow = (rgb("#2c6f9f"), rgb("#6fc3c6")) if not sunset else (rgb("#5a5a96"), rgb("#d79a8c"))
    if cloudy:
        deep, shallow = mix(deep, (120, 140, 150), 0.4), mix(shallow, (170, 186, 186), 0.4)
    shore = rng.uniform(0.64, 0.7)
    canvas.gradient(rectangle(0, horizon, 1, shore + 0.08), deep, shallow)
    for step in range(6):
        y = horizon + (shore - horizon) * (0.12 + 0.15 * step)
        x, length = rng.uniform(0, 0.8), rng.uniform(0.12, 0.35)
        canvas.polygon(capsule((x, y), (x + length, y), 0.004, 0.004), lighter(shallow, 0.45))
    if scene.feature == "a sailing boat":
        _boat(canvas, 0.5 + side * rng.uniform(0.2, 0.33), horizon + 0.03, rng.uniform(0.12, 0.17))
    line = ridge(rng, shore, 0.05, 4)
    sand = rgb("#f2d6a2") if not sunset else rgb("#e6b088")
    canvas.polygon(down_to(moved(line, 0, -0.012)), (255, 250, 240))
    canvas.polygon(down_to(moved(line, 0, 0.01)), darker(sand, 0.2))
    canvas.gradient(down_to(moved(line, 0, 0.06)), sand, lighter(sand, 0.2), darker(sand, 0.08))
    for x, y in rng.uniform((0, shore + 0.12), (1, 0.99), (16, 2)):
        canvas.dot(x, y, 0.005, darker(sand, 0.2))
    if scene.feature == "a palm tree":
        draw_palm(
            canvas, 0.5 + side * rng.uniform(0.28, 0.4), shore + rng.uniform(0.12, 0.2), side, rng.uniform(0.5, 0.62)
        )
    elif scene.feature == "a parasol":
        _parasol(canvas, 0.5 + side * rng.uniform(0.26, 0.36), shore + 0.16, rng.uniform(0.17, 0.21))


def _boat(canvas, x, y, size):
    hull = [(x - 0.5 * size, y - 0.08 * size), (x + 0.5 * size, y - 0.08 * size), (x + 0.32 * size, y + 0.14 * size)]
    canvas.polygon(np.array([*hull, (x - 0.34 * size, y + 0.14 * size)]), rgb("#b5473f"))
    canvas.polygon(
        np.array(
            [(x - 0.02 * size, y - 1.2 * size), (x - 0.02 * size, y - 0.14 * size), (x - 0.46 * size, y - 0.14 * size)]
        ),
        (255, 246, 228),
    )
    canvas.polygon(
        np.array(
            [(x + 0.03 * size, y - 1.1 * size), (x + 0.03 * size, y - 0.14 * size), (x + 0.4 * size, y - 0.14 * size)]
        ),
        (244, 214, 170),
    )


def _parasol(canvas, x, foot, size):
    canvas.polygon(stroke([(x, foot), (x, foot - 2.0 * size)], 0.016), (246, 236, 216))
    angles = np.linspace(np.pi, 2 * np.pi, 25)
    dome = np.stack([x + size * np.cos(angles), foot - 1.35 * size + 0.72 * size * np.sin(angles)], axis=1)
    colours = (rgb("#d9534b"), (255, 244, 226))
    canvas.polygon(dome, colours[0])
    for left in (4, 12, 20):
        part = dome[left - 2 : left + 3]
        canvas.polygon(np.concatenate([part, [(x, foot - 2.07 * size)]]), colours[1])
    canvas.dot(x, foot - 2.08 * size, 0.014, colours[1])

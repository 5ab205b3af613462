"""Peaks one behind the other."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, moved, rectangle
from pocket.world.colours import darker, lighter, mix, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import down_to, draw_clouds, draw_haze, draw_pine, draw_sky, draw_sun, ridge


def draw_mountain(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Peaks one behind the other, meadows or snow in front."""
    sunset, snowy = scene.time == "at sunset", scene.weather == " snowy"
    draw_sky(canvas, "sunset" if sunset else "day", 0.62)
    side = rng.choice((-1, 1))
    draw_sun(canvas, 0.5 - side * 0.3, 0.36 if sunset else 0.13, 0.05)
    draw_clouds(canvas, rng, 2, 0.26, (255, 220, 196) if sunset else (255, 252, 244))
    far, near = (rgb("#8d7aa8"), rgb("#6a5f94")) if sunset else (rgb("#8fa9c4"), rgb("#6b86a8"))
    for x, height, width in ((0.5 - side * 0.36, 0.34, 0.42), (0.5 + side * 0.44, 0.3, 0.4)):
        _peak(canvas, rng, x, 0.7, height, width, far, 0.34)
    _peak(
        canvas,
        rng,
        0.5 + side * rng.uniform(0.05, 0.16),
        0.74,
        rng.uniform(0.5, 0.58),
        0.56,
        near,
        0.7 if snowy else 0.42,
    )
    ground = rgb("#eef1f6") if snowy else rgb("#86ad5f")
    if sunset:
        ground = mix(ground, (214, 140, 132), 0.28)
    draw_haze(canvas, 0.7, 0.12, (255, 226, 196) if sunset else (236, 244, 246), 0.55)
    back = ridge(rng, 0.68, 0.05, 4)
    canvas.polygon(down_to(back), darker(ground, 0.16))
    pines = mix(rgb("#3f7458"), (92, 70, 110), 0.3 * sunset)
    for x in np.sort(rng.uniform(0, 1, 9)):
        draw_pine(canvas, x, 0.70 + 0.02 * rng.uniform(), rng.uniform(0.09, 0.13), pines, snowy)
    canvas.gradient(down_to(ridge(rng, 0.78, 0.05, 3)), ground, darker(ground, 0.12))
    if scene.feature == "a lake":
        lake = ellipse(0.5 - side * rng.uniform(0.1, 0.25), 0.83, 0.36, 0.065)
        canvas.polygon(lake * (1, 1) + (0, 0.008), darker(ground, 0.25))
        blue = rgb("#5d8fbb") if not sunset else rgb("#b98296")
        canvas.gradient(lake, lighter(blue, 0.35), blue)
        x, y = lake.mean(axis=0)
        for dx, dy in ((-0.12, -0.02), (0.05, 0.01), (-0.03, 0.03)):
            canvas.polygon(capsule((x + dx, y + dy), (x + dx + 0.11, y + dy), 0.004, 0.004), lighter(blue, 0.6))
    elif scene.feature == "pine trees":
        for dx, foot, height in ((0.43, 0.9, 0.48), (0.31, 0.86, 0.34), (0.22, 0.82, 0.24)):
            draw_pine(canvas, 0.5 + side * dx, foot, height * rng.uniform(0.9, 1.1), pines, snowy)
    else:
        _cabin(canvas, 0.5 + side * rng.uniform(0.26, 0.34), 0.84, rng.uniform(0.19, 0.23), snowy)


def _peak(canvas, rng, x, foot, height, width, colour, snow):
    top = np.array([x, foot - height])
    left, right = np.array([x - width * 0.75, foot]), np.array([x + width * 0.75, foot])
    canvas.gradient(np.array([left, top, right]), colour, lighter(colour, 0.3))
    fold = [top, moved(top, 0.02, 0.3 * height), moved(top, -0.05, 0.55 * height), (x + 0.06 * width, foot), right]
    canvas.polygon(np.array(fold), darker(colour, 0.2), 0.75)
    cut = snow * 0.62
    a, b = top + cut * (left - top), top + cut * (right - top)
    steps = np.linspace(0, 1, 8)[1:-1, None]
    jagged = a + steps * (b - a) + np.stack([np.zeros(6), height * 0.09 * np.array([1, -0.7, 1, -0.6, 0.9, -0.5])], 1)
    canvas.polygon(np.concatenate([[top], [a], jagged, [b]]), (250, 248, 250))
    shade = np.concatenate([[top], [moved(top, 0.02, 0.3 * height)], jagged[3:], [b]])
    canvas.polygon(shade, (206, 208, 230))


def _cabin(canvas, x, foot, size, snowy):
    h = size / 2
    wall = rgb("#a96e48")
    canvas.polygon(rectangle(x - h, foot - 0.62 * size, x + h, foot), wall)
    for y in np.linspace(foot - 0.52 * size, foot - 0.1 * size, 5):
        canvas.polygon(rectangle(x - h, y, x + h, y + 0.007), darker(wall, 0.25))
    roof = np.array([(x - 1.35 * h, foot - 0.58 * size), (x, foot - 1.12 * size), (x + 1.35 * h, foot - 0.58 * size)])
    canvas.polygon(rectangle(x + 0.4 * h, foot - 1.15 * size, x + 0.7 * h, foot - 0.8 * size), rgb("#7a5a56"))
    canvas.polygon(roof, (245, 246, 250) if snowy else rgb("#8c4038"))
    canvas.polygon(rectangle(x - 0.2 * h, foot - 0.42 * size, x + 0.26 * h, foot), rgb("#6b3f33"))
    for dx in (-0.62, 0.66):
        canvas.polygon(
            rectangle(x + (dx - 0.2) * h, foot - 0.42 * size, x + (dx + 0.2) * h, foot - 0.2 * size), rgb("#ffd98a")
        )

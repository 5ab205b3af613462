"""Trunks one behind the other."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, rectangle, smooth, stroke
from pocket.world.colours import darker, lighter, mix, rgb
from pocket.world.scene import Scene
from pocket.world.scenery import down_to, draw_haze, ridge


def draw_forest(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Trunks one behind the other under a roof of leaves."""
    autumn, misty = scene.time == "in autumn", scene.weather == " misty"
    leaf = rgb("#d98a3c") if autumn else rgb("#6fa65a")
    back = mix(lighter(leaf, 0.62), (226, 232, 226), 0.65 if misty else 0.1)
    canvas.gradient(rectangle(0, 0, 1, 1), mix(back, leaf, 0.25), lighter(back, 0.3), back)
    if not misty:
        canvas.glow(rng.uniform(0.3, 0.7), 0.3, 0.55, (255, 250, 206), 0.9)
    haze = 0.45 if misty else 0.15
    ground = mix(rgb("#a9713c") if autumn else rgb("#6f8a4c"), back, haze * 0.6)
    for depth, count in ((0, 9), (1, 7), (2, 5)):
        share = (0.68, 0.42, 0.1)[depth]
        share = min(share + haze * (1 - depth / 3), 0.9)
        trunk, crown = mix(rgb("#6b4a3d"), back, share), mix(leaf, back, share * 0.9)
        foot = 0.66 + 0.06 * depth
        width = 0.022 + 0.017 * depth
        edges = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count
        if depth == 2:  # the nearest leave the middle free
            edges = np.where(edges < 0.5, edges * 0.5, 0.75 + (edges - 0.5) * 0.5) + rng.uniform(-0.02, 0.02, count)
        for x in edges:
            lean = rng.uniform(-0.02, 0.02)
            shape = np.array(
                [(x - width, foot), (x - 0.6 * width + lean, -0.02), (x + 0.6 * width + lean, -0.02), (x + width, foot)]
            )
            canvas.polygon(shape, trunk)
            canvas.polygon(
                np.array([(x + 0.2 * width, foot), (x + 0.1 * width + lean, -0.02), shape[2], shape[3]]),
                darker(trunk, 0.22),
            )
        for x, y in rng.uniform((-0.05, -0.06), (1.05, 0.2 - 0.05 * depth), (7, 2)):
            canvas.polygon(ellipse(x, y, 0.13, 0.09), mix(crown, darker(crown, 0.25), rng.uniform()))
        canvas.polygon(down_to(ridge(rng, foot, 0.025, 5)), mix(ground, back, share * 0.8))
    canvas.gradient(down_to(ridge(rng, 0.82, 0.03, 4)), ground, darker(ground, 0.2))
    if not misty:
        for x in rng.uniform(0.05, 0.75, 3):
            canvas.polygon(
                np.array([(x, -0.01), (x + 0.07, -0.01), (x + 0.3, 0.86), (x + 0.1, 0.86)]), (255, 248, 196), 0.2
            )
    else:
        draw_haze(canvas, 0.62, 0.22, (240, 243, 238), 0.75)
    side = rng.choice((-1, 1))
    if scene.feature == "a path":
        y = np.array((0.765, 0.79, 0.83, 0.9, 1.02))
        middle = 0.5 + side * np.array((0.12, 0.05, 0.09, 0.02, -0.06))
        half = np.array((0.012, 0.03, 0.06, 0.12, 0.24))
        left, right = (smooth(np.stack([middle + sign * half, y], axis=1), closed=False) for sign in (-1, 1))
        canvas.polygon(np.concatenate([left, right[::-1]]), mix(rgb("#dcc196"), back, haze * 0.4))
    elif scene.feature == "mushrooms":
        for dx, y, size in (
            (0.36, 0.93, 0.085),
            (0.27, 0.9, 0.055),
            (0.43, 0.89, 0.05),
            (-0.4, 0.93, 0.06),
            (-0.32, 0.96, 0.045),
        ):
            _mushroom(canvas, 0.5 + side * dx, y, size)
    else:
        for x in (0.04, 0.17, 0.3, 0.72, 0.85, 0.97):
            _fern(canvas, x, 0.97, rng.uniform(0.14, 0.2), darker(leaf, 0.2) if not autumn else rgb("#8f9a45"))
    if autumn:
        for x, y in rng.uniform((0, 0.72), (1, 0.99), (14, 2)):
            canvas.dot(x, y, 0.009, rgb("#e9a53f") if x < 0.5 else rgb("#c5562f"))


def _mushroom(canvas, x, foot, size):
    canvas.polygon(capsule((x, foot), (x, foot - 0.7 * size), 0.2 * size, 0.15 * size), (250, 238, 216))
    angles = np.linspace(np.pi, 2 * np.pi, 15)
    canvas.polygon(
        np.stack([x + 0.62 * size * np.cos(angles), foot - 0.62 * size + 0.62 * size * np.sin(angles)], 1),
        rgb("#cf4538"),
    )
    for dx, dy, radius in ((-0.28, 0.78, 0.09), (0.06, 0.98, 0.1), (0.34, 0.76, 0.07)):
        canvas.dot(x + dx * size, foot - dy * size, radius * size, (255, 246, 232))


def _fern(canvas, x, foot, size, colour):
    for number, angle in enumerate(np.radians((-155, -125, -95, -65, -35, -15))):
        tip = np.array([x, foot]) + size * np.array([np.cos(angle), np.sin(angle)])
        leaf = smooth([(x, foot), ((x + tip[0]) / 2, (foot + tip[1]) / 2 - 0.12 * size), tip], closed=False)
        widths = 0.2 * size * np.sin(np.linspace(0.3, np.pi, len(leaf))) + 0.002
        canvas.polygon(stroke(leaf, widths), lighter(colour, 0.15) if number % 2 else colour)

"""Pieces that several scenes share: sky, sun, clouds, hills, trees, stars."""

import numpy as np

from pocket.world.canvas import Canvas, capsule, ellipse, moved, rectangle, smooth, stroke
from pocket.world.colours import Colour, darker, lighter, mix, rgb

SUNSET_GOLD = (255, 214, 140)
LAMPLIGHT = (255, 206, 120)
LAMPLIT = (0.84, 0.70, 0.62)  # the light of a room in the evening
BOOKS = tuple(map(rgb, ("#b5483f", "#d98a45", "#e6bd62", "#6f9460", "#3f7f82", "#496ba3", "#7a578f", "#efe2c4")))
SKIES = {
    "day": ("#7fc3e6", "#b9e0ea", "#fbeecf"),
    "grey": ("#a9bcc8", "#c9d3d4", "#ece6d8"),
    "sunset": ("#5c5b9a", "#e5807a", "#fdb873", "#ffe2a0"),
    "dull sunset": ("#6f6a92", "#c98a86", "#e9b78e", "#f3d3ac"),
    "night": ("#161b42", "#2b3670", "#54609a"),
}


def draw_sky(canvas: Canvas, name: str, horizon: float) -> None:
    """Fill the picture from the top down to `horizon` (and a little beyond) with one of SKIES."""
    canvas.gradient(rectangle(0, 0, 1, horizon + 0.02), *map(rgb, SKIES[name]))


def draw_sun(canvas: Canvas, x: float, y: float, radius: float, colour: Colour = (255, 240, 190)) -> None:
    """Draw a disc with a wide soft halo."""
    canvas.glow(x, y, radius * 4.5, colour, 0.6)
    canvas.polygon(ellipse(x, y, radius), lighter(colour, 0.3))


def draw_cloud(canvas: Canvas, x: float, y: float, width: float, colour: Colour, alpha: float = 1.0) -> None:
    """Draw a flat-bottomed cloud, `width` wide, its bottom at `y`."""
    w = width / 2
    canvas.polygon(capsule((x - w * 0.75, y - 0.17 * w), (x + w * 0.75, y - 0.17 * w), 0.17 * w, 0.17 * w), colour)
    for dx, dy, radius in ((-0.36, 0.32, 0.3), (0.05, 0.45, 0.42), (0.44, 0.28, 0.27)):
        canvas.polygon(ellipse(x + dx * w, y - dy * w, radius * w), colour)


def draw_clouds(canvas: Canvas, rng: np.random.Generator, count: int, low: float, colour: Colour) -> None:
    """Scatter `count` clouds above `low`."""
    for x, y, width in rng.uniform((0, 0.1, 0.18), (1, max(low, 0.12), 0.36), (count, 3)):
        draw_cloud(canvas, x, y, width, colour)


def ridge(rng: np.random.Generator, y: float, height: float, bumps: int) -> np.ndarray:
    """A smooth line of hills across the picture: about `y`, `height` from trough to crest. (n, 2)."""
    x = np.linspace(-0.15, 1.15, bumps + 2)
    heights = y + height * (rng.uniform(-0.5, 0.5, bumps + 2))
    heights[1::2] -= 0.3 * height
    return smooth(np.stack([x, heights], axis=1), closed=False)


def down_to(line: np.ndarray, bottom: float = 1.0) -> np.ndarray:
    """The area between a `line` from left to right and `bottom`."""
    return np.concatenate([line, [(line[-1, 0], bottom), (line[0, 0], bottom)]])


def draw_pine(canvas: Canvas, x: float, foot: float, height: float, colour: Colour, snow: bool = False) -> None:
    """Draw a pine tree with its foot at `foot`."""
    canvas.polygon(
        rectangle(x - 0.035 * height, foot - 0.2 * height, x + 0.035 * height, foot), mix((92, 64, 58), colour, 0.4)
    )
    for low, high, half in ((0.10, 0.52, 0.26), (0.34, 0.76, 0.21), (0.58, 1.0, 0.15)):
        left, right = (x - half * height, foot - low * height), (x + half * height, foot - low * height)
        top = (x, foot - high * height)
        canvas.polygon(np.array([left, (x, foot - (low - 0.04) * height), right, top]), colour)
        dark = np.array([(x, foot - (low - 0.04) * height), right, top])
        canvas.polygon(dark, darker(colour, 0.2))
        if snow:
            cap = [(x - 0.45 * half * height, foot - (high - 0.19) * height), top]
            cap += [(x + 0.45 * half * height, foot - (high - 0.19) * height), (x, foot - (high - 0.24) * height)]
            canvas.polygon(np.array(cap), (246, 246, 250))


def draw_stars(canvas: Canvas, rng: np.random.Generator, count: int, low: float) -> None:
    """Scatter stars above `low`, a few of them bright."""
    for number, (x, y, size) in enumerate(rng.uniform((0, 0, 0.3), (1, low, 1), (count, 3))):
        radius = 0.0035 + 0.004 * size * (number % 5 == 0)
        if number % 9 == 0:
            canvas.glow(x, y, 0.022, (255, 240, 206), 0.8)
        canvas.dot(x, y, radius, mix((190, 200, 240), (255, 246, 220), size))


def draw_haze(canvas: Canvas, y: float, height: float, colour: Colour, alpha: float) -> None:
    """Draw a wide soft band around `y`."""
    canvas.glow(0.5, y, 1.3, colour, alpha, ry=height)


def draw_palm(canvas: Canvas, x: float, foot: float, side: int, height: float) -> None:
    """Draw a palm tree with its foot at `foot`, leaning away from `side` (-1 or 1)."""
    top = np.array([x - side * 0.13 * height, foot - height])
    trunk = smooth([(x, foot), (x + side * 0.02, foot - 0.45 * height), top], closed=False)
    canvas.polygon(stroke(trunk, np.linspace(0.052, 0.03, len(trunk))), rgb("#9a6a45"))
    for share in np.linspace(0.1, 0.9, 7):
        point = trunk[int(share * (len(trunk) - 1))]
        canvas.polygon(capsule(moved(point, -0.017, 0), moved(point, 0.017, 0), 0.004, 0.004), rgb("#7b5138"))
    green = rgb("#4c8f52")
    for number, angle in enumerate(np.radians((-175, -140, -100, -62, -25, 8))):
        tip = top + 0.42 * height * np.array([np.cos(angle), 0.62 * np.sin(angle) + 0.34])
        middle = (top + tip) / 2 + (0, -0.14 * height)
        leaf = smooth([top, middle, tip], closed=False)
        widths = 0.13 * height * np.sin(np.linspace(0.25, np.pi, len(leaf))) + 0.004
        canvas.polygon(stroke(leaf, widths), darker(green, 0.14) if number % 2 else green)
    for dx in (-0.022, 0.018):
        canvas.dot(top[0] + dx, top[1] + 0.022, 0.021, rgb("#74492f"))

"""Draw smooth shapes: four samples a pixel along each axis, and a label for every sample of the person.

Points are (n, 2) arrays of (x, y) in shares of the picture's side, (0, 0) its upper left corner.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from pocket.world.colours import WHITE, Colour, lit

SAMPLES = 4  # a pixel and axis
STEPS = 8  # points between two knots of a smooth curve


def _catmull_rom(steps: int) -> np.ndarray:
    t = np.arange(steps)[:, None] / steps
    return 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], axis=1
    )


def _circle(points: int) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


BASIS = _catmull_rom(STEPS)
SMALL_CIRCLE, CIRCLE = _circle(16), _circle(40)
# The soft edge of a glow: 255 in the middle, 0 at the rim.
_distance = np.hypot(*np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64)))
GLOW = Image.fromarray(np.round(255 * np.clip(1 - _distance, 0, 1) ** 1.6).astype(np.uint8))


def smooth(points: np.ndarray, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve through `points` (n, 2): (n * 8, 2), or from the first to the last point if not closed."""
    points = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
    knots = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=0)  # (segments, 2, 4)
    curve = np.einsum("sk,nck->nsc", BASIS, knots).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def moved(points: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """`points` (..., 2), shifted."""
    return np.asarray(points) + np.array((dx, dy))


def ellipse(x: float, y: float, rx: float, ry: float | None = None) -> np.ndarray:
    """The outline of an ellipse with these radii, a circle if only one is given."""
    return CIRCLE * (rx, rx if ry is None else ry) + (x, y)


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The outline of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> np.ndarray:
    """The outline of an upright rectangle with round corners."""
    corners = [(right - radius, bottom - radius), (left + radius, bottom - radius)]
    corners += [(left + radius, top + radius), (right - radius, top + radius)]
    quarter = np.linspace(0, np.pi / 2, 6)
    arcs = []
    for number, corner in enumerate(corners):
        angles = quarter + number * np.pi / 2
        arcs.append(np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + corner)
    return np.concatenate(arcs)


def capsule(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float) -> np.ndarray:
    """The outline of a tapered stroke with round ends."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    angle = np.arctan2(*(end - start)[::-1])
    half = np.linspace(np.pi / 2, 3 * np.pi / 2, 9) + angle
    back = np.stack([np.cos(half), np.sin(half)], axis=1)
    return np.concatenate([start + back * start_radius, end - back * end_radius])


def stroke(points: np.ndarray, widths: float | np.ndarray) -> np.ndarray:
    """The outline of a line along `points` (n, 2) that is `widths` (one, or n) wide."""
    points = np.asarray(points, dtype=np.float64)
    direction = np.gradient(points, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    offset = direction[:, ::-1] * (-0.5, 0.5) * np.reshape(widths, (-1, 1))
    return np.concatenate([points + offset, (points - offset)[::-1]])


class Canvas:
    """An RGB picture of `size` pixels a side under work, and the label of every sample (0 where none was set).

    label: what shapes drawn from now on are labelled as; None leaves the labels as they are. light: the colour of the
    light that they stand in (1, 1, 1 is white).
    """

    def __init__(self, size: int):
        self.scale = size * SAMPLES
        self.label: int | None = None
        self.light = WHITE
        self._open(Image.new("RGB", (self.scale, self.scale)), Image.new("L", (self.scale, self.scale)), (0, 0))

    def _open(self, image: Image.Image, labels: Image.Image, corner: tuple[int, int]) -> None:
        self.image, self.labels, self.corner = image, labels, corner
        self._draw, self._draw_labels = ImageDraw.Draw(image), ImageDraw.Draw(labels)

    def _samples(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points) * self.scale - self.corner

    def _window(self, samples: np.ndarray) -> tuple[int, int, int, int] | None:
        """The part of the picture around `samples`: left, top, right, bottom; None if there is none."""
        left, top = np.maximum(np.floor(samples.min(axis=0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(samples.max(axis=0)).astype(int) + 1, self.image.size)
        return (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None

    def _mask(self, samples: np.ndarray, window: tuple[int, int, int, int], alpha: float = 1.0) -> Image.Image:
        mask = Image.new("L", (window[2] - window[0], window[3] - window[1]))
        ImageDraw.Draw(mask).polygon((samples - window[:2]).ravel().tolist(), fill=round(255 * alpha))
        return mask

    def polygon(self, points: np.ndarray, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon. A see-through one (alpha < 1) sets no label."""
        samples, colour = self._samples(points), lit(colour, self.light)
        if alpha >= 1:
            flat = samples.ravel().tolist()
            self._draw.polygon(flat, fill=colour)
            if self.label is not None:
                self._draw_labels.polygon(flat, fill=self.label)
        elif window := self._window(samples):
            self.image.paste(colour, window, self._mask(samples, window, alpha))

    def dot(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a small circle."""
        self.polygon(SMALL_CIRCLE * radius + (x, y), colour, alpha)

    def gradient(self, points: np.ndarray, *colours: Colour, across: bool = False) -> None:
        """Fill a polygon with `colours` from its top to its bottom, or from left to right (`across`)."""
        samples = self._samples(points)
        if not (window := self._window(samples)):
            return
        left, top = samples.min(axis=0)
        width, height = samples.max(axis=0) - (left, top)
        column = Image.new("RGB", (len(colours), 1) if across else (1, len(colours)))
        column.putdata([lit(colour, self.light) for colour in colours])
        # From the middle of the first colour to the middle of the last, of the part that lies in the picture.
        start, extent = (left, width) if across else (top, height)
        ends = (window[0], window[2]) if across else (window[1], window[3])
        first, last = (0.5 + (end - start) / max(extent, 1e-9) * (len(colours) - 1) for end in ends)
        first, last = max(first, 0.0), min(last, float(len(colours)))
        box = (first, 0, last, 1) if across else (0, first, 1, last)
        size = (window[2] - window[0], window[3] - window[1])
        ramp = column.resize(size, Image.Resampling.BILINEAR, box=box)
        self.image.paste(ramp, window, self._mask(samples, window))
        if self.label is not None:
            self._draw_labels.polygon(samples.ravel().tolist(), fill=self.label)

    def glow(self, x: float, y: float, rx: float, colour: Colour, alpha: float = 1.0, ry: float | None = None) -> None:
        """Mix in a soft-edged ellipse. It sets no label."""
        samples = self._samples(ellipse(x, y, rx, ry))
        low, high = np.round(samples.min(axis=0)).astype(int), np.round(samples.max(axis=0)).astype(int)
        width, height = (high - low + 1).tolist()
        window = self._window(samples)
        if not window:
            return
        left, top, right, bottom = window
        # Only the visible part is enlarged.
        box = tuple(
            64 * (value - origin) / extent
            for value, origin, extent in (
                (left, low[0], width),
                (top, low[1], height),
                (right, low[0], width),
                (bottom, low[1], height),
            )
        )
        box = tuple(float(min(max(value, 0), 64)) for value in box)
        soft = GLOW.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
        self.image.paste(
            lit(colour, self.light), window, soft.point(lambda value: value * alpha) if alpha < 1 else soft
        )

    @contextlib.contextmanager
    def clip(self, points: np.ndarray, keep: int | None = None) -> Iterator[None]:
        """Let what is drawn inside the block show only within a polygon (and, with `keep`, only on that label)."""
        samples = self._samples(points)
        window = self._window(samples)
        outer = self.image, self.labels, self.corner
        if window is None:  # nothing of it is in the picture: draw on something that is thrown away
            self._open(Image.new("RGB", (1, 1)), Image.new("L", (1, 1)), outer[2])
        else:
            corner = (outer[2][0] + window[0], outer[2][1] + window[1])
            self._open(outer[0].crop(window), outer[1].crop(window), corner)
        yield
        inner = self.image, self.labels
        self._open(*outer)
        if window is not None:
            mask = self._mask(samples, window)
            if keep is not None:
                on_label = self.labels.crop(window).point([255 * (value == keep) for value in range(256)])
                mask = ImageChops.multiply(mask, on_label)
            self.image.paste(inner[0], window, mask)
            self.labels.paste(inner[1], window, mask)

    def pixels(self) -> np.ndarray:
        """The picture, (size, size, 3) uint8."""
        return np.asarray(self.image.reduce(SAMPLES))

    def coverage(self, *labels: int) -> np.ndarray:
        """How much of each pixel carries one of `labels`: (size, size) float32, 0 to 1, above 0 at the least touch."""
        chosen = self.labels.point([255 * (value in labels) for value in range(256)]).reduce(SAMPLES)
        return np.asarray(chosen, dtype=np.float32) / 255

"""What plots are drawn with: a frame that says where everything stands, and a pen for its axes, curves and legend."""

from collections.abc import Collection
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # drawn larger and shrunk, for Pillow does not smooth its lines
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]  # told apart by the colour-blind (Okabe and Ito)
INK, GRID = "#202020", "#d8d8d8"
SHAPES = ("disc", "square", "diamond")
TEXT_SIZE, TITLE_SIZE = 14, 18
LEGEND_ROW = 17  # pixels from one name to the next


@dataclass(frozen=True)
class Frame:
    """Where a plot's parts stand, in pixels. size: (width, height) of the picture. The others bound the axes.

    legend: (x, y) of its first row: where the line starts that stands beside the name. dot: the radius of points.
    """

    size: tuple[int, int]
    left: int
    top: int
    right: int
    bottom: int
    legend: tuple[int, int]
    dot: float


class Pen:
    """Draws a plot. Coordinates are in pixels of `frame`; the image behind it is SCALE times as large."""

    def __init__(self, frame: Frame):
        self.frame = frame
        self._image = Image.new("RGB", tuple(side * SCALE for side in frame.size), "white")
        self._draw = ImageDraw.Draw(self._image)

    def picture(self) -> Image.Image:
        """What was drawn, at the frame's size."""
        return self._image.resize(self.frame.size, Image.Resampling.LANCZOS)

    def line(self, points, colour: str, width: int = 1) -> None:
        """Join the points, (x, y) each."""
        self._draw.line(_scaled(points), colour, width * SCALE, joint="curve")

    def dot(self, point, colour: str, ring: bool = False, shape: str = "disc") -> None:
        """Mark a point. ring: leave the inside white. shape: one of SHAPES."""
        ((x, y),), fill, radius = _scaled([point]), "white" if ring else colour, self.frame.dot * SCALE
        if shape == "square":
            self._draw.rectangle([x - radius, y - radius, x + radius, y + radius], fill, colour, SCALE)
        elif shape == "diamond":
            reach = 1.4 * radius
            self._draw.polygon([(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach)], fill, colour, SCALE)
        else:
            self._draw.circle((x, y), radius, fill, colour, SCALE)

    def text(self, point, text: str, anchor: str, size: int = TEXT_SIZE) -> None:
        """Write at a point. anchor: Pillow's two letters, which say what part of the text stands there."""
        font = ImageFont.load_default(size * SCALE)
        text = " ".join(text.split())  # Pillow places no text of several lines by an anchor
        self._draw.text(_scaled([point])[0], text, INK, font, anchor)

    def row(self, y: float, text: str) -> None:
        """A line across the grid, and what it stands for."""
        self.line([(self.frame.left, y), (self.frame.right, y)], GRID)
        self.text((self.frame.left - 8, y), text, "rm")

    def column(self, x: float, bottom: float, text: str) -> None:
        """A line down the grid, and what it stands for."""
        self.line([(x, self.frame.top), (x, bottom)], GRID)
        self.text((x, bottom + 10), text, "mt")

    def axes(self, title: str, x_name: str, y_name: str = "") -> None:
        """The axes over the grid, and what they and the picture are called."""
        left, top, right, bottom = self.frame.left, self.frame.top, self.frame.right, self.frame.bottom
        self.line([(left, top), (left, bottom), (right, bottom)], INK)
        self.text((left, 12), title, "lt", TITLE_SIZE)
        self.text(((left + right) / 2, self.frame.size[1] - 14), x_name, "mb")
        self.text((left, top - 10), y_name, "lb")

    def curve(self, points, colour: str, rings: Collection[int] = (), shape: str = "disc", joined: bool = True) -> None:
        """Points, joined by a line or not; those at the indices `rings` are rings, not filled."""
        if joined:
            self.line(points, colour, width=2)
        for index, point in enumerate(points):
            self.dot(point, colour, ring=index in rings, shape=shape)

    def legend(self, row: int, name: str, colour: str, shape: str = "disc", joined: bool = True) -> None:
        """The curve's name, in a row of the legend, and beside it what it is drawn with."""
        x, y = self.frame.legend[0], self.frame.legend[1] + LEGEND_ROW * row
        self.curve([(x + 14, y)], colour, shape=shape, joined=False)
        if joined:
            self.line([(x, y), (x + 28, y)], colour, width=2)
        self.text((x + 36, y), name, "lm")


def _scaled(points) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]

"""A card: a few pictures on a bright ground, with arrows between those that are given and those that come of them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

SIZE = 640, 400  # of a template's card, which the browser shows at less than half of that
MARGIN, GAP, ARROW = 16, 12, 48  # around all, between two pictures, the room of an arrow
GROUND, INK, BADGE = "#fbf6ea", "#d2552c", "#ffffff"
CORNER, LINE, HEAD, TEXT = 14, 7, 17, 44  # the radius of corners; an arrow's line and head; the size of a label
SCALE = 2  # drawn larger and shrunk, for Pillow does not smooth its lines


@dataclass(frozen=True)
class Tile:
    """A picture, whole, in any proportions. round: cut to a disc, as people are. label: a word at its lower left."""

    picture: Image.Image
    round: bool = False
    label: str = ""


def draw_card(
    groups: Sequence[Sequence[Tile]], size: tuple[int, int] = SIZE, down: bool = False, arrows: bool = True
) -> Image.Image:
    """Draw groups of tiles one after the other from the left, each a column, as large as `size` lets them be.

    down: from the top instead, each group a row. arrows: from each group to the next. Tiles of a group are equally
    wide in a row and equally high in a column. Returns an RGB picture of `size`, (width, height) in pixels.
    """
    card = Image.new("RGB", tuple(SCALE * side for side in size), GROUND)
    boxes = place([[tile.picture.size for tile in group] for group in groups], size, down, arrows)
    for group, places in zip(groups, boxes, strict=True):
        for tile, box in zip(group, places, strict=True):
            _paste(card, tile, [round(SCALE * value) for value in box])
    if arrows:
        for before, after in itertools.pairwise(boxes):
            _arrow(ImageDraw.Draw(card), before, after, down)
    return card.resize(size, Image.Resampling.LANCZOS)


Box = tuple[float, float, float, float]  # left, top, right, bottom


def place(
    groups: Sequence[Sequence[tuple[int, int]]], size: tuple[int, int], down: bool, arrows: bool
) -> list[list[Box]]:
    """Where each picture, given by its width and height, stands on a card; see `draw_card`.

    Here a group lies across the direction in which the groups follow each other.
    """
    along, across = ((side - 2 * MARGIN) for side in (size[::-1] if down else size))
    link = ARROW if arrows else GAP
    # A picture's length along the groups in shares of its length across them; a group is as long as its longest.
    shapes = [[(height / width if down else width / height) for width, height in group] for group in groups]
    longest = [max(group) for group in shapes]
    full = sum(ratio * across / len(group) for ratio, group in zip(longest, shapes, strict=True))
    gaps = sum(ratio * GAP * (len(group) - 1) / len(group) for ratio, group in zip(longest, shapes, strict=True))
    links = link * (len(groups) - 1)
    share = min(1, (along + gaps - links) / full)
    start = MARGIN + (along - (full * share - gaps + links)) / 2
    boxes = []
    for group, ratio in zip(shapes, longest, strict=True):
        side = (across * share - GAP * (len(group) - 1)) / len(group)
        top = MARGIN + (across - across * share) / 2
        boxes.append([])
        for number, shape in enumerate(group):
            near, first = start + (ratio - shape) * side / 2, top + number * (side + GAP)
            box = near, first, near + shape * side, first + side
            boxes[-1].append((box[1], box[0], box[3], box[2]) if down else box)
        start += ratio * side + link
    return boxes


def _paste(card: Image.Image, tile: Tile, box: list[int]) -> None:
    left, top, right, bottom = box
    size = right - left, bottom - top
    mask = Image.new("L", size)
    corner = min(size) / 2 if tile.round else CORNER * SCALE
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), corner, 255)
    card.paste(tile.picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (left, top), mask)
    if tile.label:
        draw, font = ImageDraw.Draw(card), ImageFont.load_default(TEXT * SCALE)
        room = CORNER * SCALE
        width, height = font.getlength(tile.label) + 1.2 * room, TEXT * SCALE
        draw.rounded_rectangle((left, bottom - height, left + width, bottom), room, BADGE)
        draw.text((left + width / 2, bottom - height / 2), tile.label, "#202020", font, anchor="mm")


def _arrow(draw: ImageDraw.ImageDraw, before: list[Box], after: list[Box], down: bool) -> None:
    """From one group to the next, in the middle of the room between them."""
    near, side = (1, 0) if down else (0, 1)
    start = max(box[near + 2] for box in before) + 6
    end = min(box[near] for box in after) - 6
    across = (min(box[side] for box in after) + max(box[side + 2] for box in after)) / 2

    def points(*where: tuple[float, float]) -> list[tuple[float, float]]:
        return [tuple(SCALE * value for value in (point[::-1] if down else point)) for point in where]

    draw.line(points((start, across), (end - HEAD / 2, across)), INK, LINE * SCALE)
    draw.polygon(points((end, across), (end - HEAD, across - HEAD * 0.75), (end - HEAD, across + HEAD * 0.75)), INK)

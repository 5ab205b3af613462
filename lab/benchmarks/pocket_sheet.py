"""The contact sheet of the pocket benchmark: a row for each example, labelled."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, CAPTION = 256, 8, 32
PAPER, INK = (250, 244, 232), (58, 32, 58)


def contact_sheet(rows: Sequence[Mapping[str, np.ndarray]]) -> Image.Image:
    """Pictures (H, W, 3) uint8 by their labels, which are those of the first row."""
    labels = list(rows[0])
    sheet = Image.new("RGB", (GAP + len(labels) * (SIDE + GAP), CAPTION + len(rows) * (SIDE + GAP)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=17)
    for column, label in enumerate(labels):
        left = GAP + column * (SIDE + GAP)
        draw.text((left + SIDE / 2, CAPTION / 2), label, INK, font, anchor="mm")
        for row, pictures in enumerate(rows):
            picture = Image.fromarray(pictures[label]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, CAPTION + row * (SIDE + GAP)))
    return sheet

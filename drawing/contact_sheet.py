"""Pictures side by side on one sheet, each below its label."""

import math

import comfy.utils
import torch

from .captions import caption, caption_height

GAP = 8  # between pictures and around them, in pixels
LONGEST = 8192  # pixels that the pictures of a row or a column may come to: beyond, they are shrunk


def draw_sheet(pictures: list[torch.Tensor], labels: list[str] | None, columns: int) -> torch.Tensor:
    """Lay pictures out in rows on white, from left to right: (H, W, 3), 0..1.

    pictures: (h, w, C) each, RGB in 0..1, further channels ignored. All get one place of the largest height and
    width; what is not of its proportions is centred in it. labels: one for each picture, above it, or None.
    """
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    scale = min(1, LONGEST / (columns * width), LONGEST / (rows * height))
    height, width = max(1, int(height * scale)), max(1, int(width * scale))
    above = caption_height(width) if labels else 0
    sheet = torch.ones(rows * (above + height + GAP) + GAP, columns * (width + GAP) + GAP, 3)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = GAP + row * (above + height + GAP), GAP + column * (width + GAP)
        if labels:
            sheet[top : top + above, left : left + width] = caption(labels[number], above, width)
        fitted = _fit(picture[..., :3], height, width)
        top += above + (height - fitted.shape[0]) // 2
        left += (width - fitted.shape[1]) // 2
        sheet[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return sheet


def _fit(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A picture (h, w, 3) at the largest size, in its own proportions, that the place has room for."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = [max(1, round(side * scale)) for side in picture.shape[:2]]
    if size == list(picture.shape[:2]):
        return picture
    scaled = comfy.utils.common_upscale(picture.movedim(-1, 0)[None].float(), size[1], size[0], "lanczos", "disabled")
    return scaled[0].movedim(0, -1)

"""Contact Sheet: the pictures of a sweep side by side, each with its label."""

import math

import comfy.utils
import torch
from comfy_api.latest import io, ui

from .captions import caption, caption_height
from .checks import check_at_least
from .sweep_values import CATEGORY

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


class ContactSheet(io.ComfyNode):
    """`draw_sheet` as a node that gathers a list."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_ContactSheet",
            display_name="Contact Sheet",
            category=CATEGORY,
            description="Gathers the pictures of a sweep in one picture, each below its label.",
            search_aliases=["xy plot", "grid", "image grid", "gather", "labels"],
            is_input_list=True,
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="The pictures that a sweep made. Of a batch every picture is shown, below the label of "
                    "the batch.",
                ),
                io.String.Input(
                    "labels",
                    optional=True,
                    force_input=True,
                    tooltip="One for each item of the list, such as the labels of Sweep Values. Left open, there are "
                    "none.",
                ),
                io.Int.Input(
                    "columns", default=4, min=1, max=100, optional=True, tooltip="How many pictures a row has."
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="sheet",
                    tooltip=f"One picture. Beyond {LONGEST} pixels along a side the pictures in it are shrunk.",
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, labels=None, columns=(4,)):
        pictures = [picture for batch in images for picture in batch]
        if not pictures:
            raise ValueError("images: there are none. Connect what a sweep makes, such as the output of VAE Decode.")
        if labels and len(labels) != len(images):
            raise ValueError(
                f"labels: {len(labels)} for {len(images)} items in images. Connect labels and pictures of one sweep."
            )
        if labels:
            labels = [label for label, batch in zip(labels, images, strict=True) for _ in batch]
        check_at_least("columns", columns[0], 1)
        sheet = draw_sheet(pictures, labels, columns[0])[None]
        return io.NodeOutput(sheet, ui=ui.PreviewImage(sheet, cls=cls))


NODES = [ContactSheet]

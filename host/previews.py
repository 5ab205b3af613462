"""What a node shows below itself."""

import logging

from comfy_api.v0_0_2 import ui
from torch import Tensor


def image_with_text(images: Tensor, text: str, node_class: type) -> dict:
    """The `ui` of a node's output: IMAGE (B, H, W, C), and text. node_class: for the workflow in the file.

    The host's previews fail on bfloat16.
    """
    return {**ui.PreviewImage(images.float(), cls=node_class).as_dict(), **ui.PreviewText(text).as_dict()}


def told(warnings: list[str], *report: str) -> ui.PreviewText | None:
    """What a node shows: a report, and warnings, which the log says as well; None where there is neither."""
    for warning in warnings:
        logging.warning("CustomEnhancer: %s", warning)
    lines = [*report, *warnings]
    return ui.PreviewText("\n".join(lines)) if lines else None

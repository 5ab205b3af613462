"""Text below or above pictures, in Pillow's own font."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

LEAST_HEIGHT = 24  # of a strip, in pixels
LEAST_SIZE = 10  # of the font: text that does not fit at this size is cut short


def caption_height(width: int) -> int:
    """How high a strip suits pictures of a width, in pixels."""
    return max(LEAST_HEIGHT, width // 16)


def caption(text: str, height: int, width: int) -> torch.Tensor:
    """One line of text, black on a white strip, in its middle: (height, width, 3), 0..1.

    Text that is wider than the strip is set smaller, and cut short where that is not enough.
    """
    text = " ".join(text.split())
    strip = Image.new("RGB", (width, height), "white")
    size, room = max(LEAST_SIZE, height * 5 // 8), width - height // 4
    if (length := ImageFont.load_default(size).getlength(text)) > room:
        size = max(LEAST_SIZE, int(size * room / length))
    font = ImageFont.load_default(size)
    if (length := font.getlength(text)) > room:
        text = text[: int(len(text) * room / length)]
        while text and font.getlength(f"{text}...") > room:
            text = text[:-1]
        text = f"{text}..."
    ImageDraw.Draw(strip).text((width / 2, height / 2), text, "black", font, anchor="mm")
    return torch.from_numpy(np.array(strip, np.float32) / 255)

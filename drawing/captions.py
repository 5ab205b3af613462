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


def captioned(images: torch.Tensor, texts: list[str]) -> torch.Tensor:
    """Pictures, (N, H, W, C), each with a text below it, one strip for each of its lines: (N, H + strips, W, 3).

    texts: one for each picture, all of as many lines. Pictures keep their dtype and every bit.
    """
    width = images.shape[2]
    height = caption_height(width)
    strips = [torch.cat([caption(line, height, width) for line in text.split("\n")]) for text in texts]
    return torch.cat([images[..., :3], torch.stack(strips).to(images)], dim=1)

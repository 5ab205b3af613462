"""Pictures as the host's nodes hand them on."""

import io

import skimage.data
import torch
from PIL import Image


def astronaut_png() -> bytes:
    """A photograph of a person, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(file, "PNG")
    return file.getvalue()


def image(seed: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    """An IMAGE of random numbers, (1, height, width, channels) in 0 .. 1."""
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(seed))

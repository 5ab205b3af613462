"""Going through a batch of pictures in the host: its progress bar and its interrupts."""

from collections.abc import Iterator

import comfy.model_management
import comfy.utils
import torch

MOST_OBLONG = 8


def centre(images: torch.Tensor) -> torch.Tensor:
    """Pictures, (N, H, W, C), without the far ends of very oblong ones: the middle MOST_OBLONG times as long as wide.

    For code that scales the shorter side to its size before it takes the centre square: a picture one pixel high would
    need gigabytes.
    """
    for axis, length in ((1, images.shape[1]), (2, images.shape[2])):
        most = MOST_OBLONG * min(images.shape[1:3])
        images = images.narrow(axis, (length - min(length, most)) // 2, min(length, most))
    return images


def around(picture: torch.Tensor, box, factor: float = 2.0) -> torch.Tensor:
    """The square part of a picture, (H, W, C), around a box (left, top, right, bottom) in pixels.

    Its side is `factor` times the box's longer one, and at most the picture's shorter side; it lies in the picture.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = (float(edge) for edge in box)
    side = max(1, min(round(factor * max(right - left, bottom - top)), height, width))
    x = min(max(round((left + right - side) / 2), 0), width - side)
    y = min(max(round((top + bottom - side) / 2), 0), height - side)
    return picture[y : y + side, x : x + side]


def each_picture(images: torch.Tensor | list[torch.Tensor]) -> Iterator[tuple[int, torch.Tensor]]:
    """The number and the picture of each entry of a batch (N, H, W, C), or of a list of pictures, in turn.

    The progress bar moves on after each. Raises the host's InterruptProcessingException between two of them.
    """
    progress = comfy.utils.ProgressBar(len(images))
    for number, picture in enumerate(images):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield number, picture
        progress.update(1)

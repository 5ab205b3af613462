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


def each_picture(images: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """The number and the picture of each entry of a batch (N, H, W, C), in turn.

    The progress bar moves on after each. Raises the host's InterruptProcessingException between two of them.
    """
    progress = comfy.utils.ProgressBar(len(images))
    for number, picture in enumerate(images):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield number, picture
        progress.update(1)

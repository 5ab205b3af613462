"""Going through a batch of pictures in the host: its progress bar and its interrupts."""

from collections.abc import Iterator

import comfy.model_management
import comfy.utils
import torch


def each_picture(images: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """The number and the picture of each entry of a batch (N, H, W, C), in turn.

    The progress bar moves on after each. Raises the host's InterruptProcessingException between two of them.
    """
    progress = comfy.utils.ProgressBar(len(images))
    for number, picture in enumerate(images):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield number, picture
        progress.update(1)

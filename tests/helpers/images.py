"""Pictures as the host's nodes hand them on."""

import torch


def image(seed: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    """An IMAGE of random numbers, (1, height, width, channels) in 0 .. 1."""
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(seed))

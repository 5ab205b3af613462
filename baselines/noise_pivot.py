"""Pivots made without an inversion: a picture under seeded noise, and a trajectory moved onto another picture."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..resinversion import Pivot, empty_record


def add_noise(sigma: Tensor, noise: Tensor, x: Tensor) -> Tensor:
    """x + sigma * noise: how epsilon- and v-prediction models noise a picture. sigma: a scalar; all (B, C, H, W)."""
    return x + sigma * noise


def noise_pivot(
    x: Tensor,
    sigmas: Tensor,
    seed: int,
    *,
    noise_scaling: Callable[[Tensor, Tensor, Tensor], Tensor] = add_noise,
    device: torch.device | None = None,
) -> Pivot:
    """Noise a picture's latent anew for each step: x*_i = x*_0 + s_i * n_i with independent n_i. No model calls.

    x: (B, C, H, W), the latent x*_0 in the model's own space; computed in float32.
    sigmas: (N + 1,), ascending from 0, N >= 1.
    seed: 0 .. 2^64 - 1. The noises are drawn on the CPU, so they are the same everywhere, and picture by picture, so
        the first of a batch gets the noises that it gets alone. Global random state is not touched.
    noise_scaling: (sigma, noise, x) -> x at sigma; a flow-prediction model has (1 - sigma) * x + sigma * noise.
    device: where the pivot is kept; None keeps it where x is.

    Source: Huberman-Spiegelglas et al., "An Edit Friendly DDPM Noise Space", in sigma coordinates.
    """
    x = x.float()
    sigmas = sigmas.to(x)
    steps = len(sigmas) - 1
    generator = torch.Generator().manual_seed(seed)
    noises = torch.randn((x.shape[0], steps, *x.shape[1:]), generator=generator)
    anchors = empty_record(x, steps + 1, device)
    anchors[0] = x
    for i in range(1, steps + 1):
        anchors[i] = noise_scaling(sigmas[i], noises[:, i - 1].to(x), x)
    return Pivot(sigmas.to(anchors.device), anchors)


def shift_pivot(
    pivot: Pivot, x: Tensor, *, noise_scaling: Callable[[Tensor, Tensor, Tensor], Tensor] = add_noise
) -> Pivot:
    """Move a pivot onto an edited picture, with its noise kept: x*_i + (x - x*_0). No model calls.

    pivot: of the picture before the edit, such as the trajectory along which it was generated.
    x: (B, C, H, W), the edited latent in the model's own space, of the same shape as the pivot's.
    noise_scaling: as in `noise_pivot`. What it leaves of a picture at each sigma it leaves of the edit: all of it by
        default, 1 - sigma of it for a flow-prediction model.
    Returns a pivot whose anchors[0] is x.
    """
    x = x.float().to(pivot.anchors.device)
    edit = x - pivot.anchors[0]
    no_noise = torch.zeros_like(edit)
    anchors = torch.empty_like(pivot.anchors)
    anchors[0] = x
    for i in range(1, pivot.steps + 1):
        anchors[i] = pivot.anchors[i] + noise_scaling(pivot.sigmas[i], no_noise, edit)
    return Pivot(pivot.sigmas, anchors)

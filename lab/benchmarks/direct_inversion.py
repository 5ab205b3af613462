"""Direct Inversion as published, in z-space: the nearest prior art, as a peer to measure. Torch only.

z = x / sqrt(1 + sigma^2) = sqrt(alpha_bar) * picture + sqrt(1 - alpha_bar) * noise is what the network itself sees.
Functions speak `model(x, sigma, **extra_args) -> denoised`; sigmas ascend from 0, (N + 1,); z is (B, C, H, W).

Source: Ju et al., "Direct Inversion: Boosting Diffusion-based Editing with 3 Lines of Code", algorithm 1.
"""

from collections.abc import Callable

import torch
from customenhancer.resinversion import to_d
from torch import Tensor


def invert(model: Callable[..., Tensor], z: Tensor, sigmas: Tensor, extra_args: dict) -> Tensor:
    """DDIM inversion, z*_0 .. z*_N, (N + 1, B, C, H, W); a step asks at the timestep it goes to. N model calls."""
    trajectory = [z]
    for i in range(1, len(sigmas)):
        eps = _eps(model, z, sigmas[i], extra_args)
        z = _ddim_step(z, eps, sigmas[i - 1], sigmas[i])
        trajectory.append(z)
    return torch.stack(trajectory)


def record_offsets(model: Callable[..., Tensor], trajectory: Tensor, sigmas: Tensor, extra_args: dict) -> Tensor:
    """What the model's own steps lack to meet the trajectory, (N, B, C, H, W); [i - 1] is step i's. N model calls."""
    offsets = torch.empty_like(trajectory[1:])
    z = trajectory[-1]
    for i in range(len(sigmas) - 1, 0, -1):
        z = _ddim_step(z, _eps(model, z, sigmas[i], extra_args), sigmas[i], sigmas[i - 1])
        offsets[i - 1] = trajectory[i - 1] - z
        z = z + offsets[i - 1]
    return offsets


def sample(model: Callable[..., Tensor], z: Tensor, offsets: Tensor, sigmas: Tensor, extra_args: dict) -> Tensor:
    """The model's own steps from z*_N down to z_0, each with its offset added. N model calls."""
    for i in range(len(sigmas) - 1, 0, -1):
        z = _ddim_step(z, _eps(model, z, sigmas[i], extra_args), sigmas[i], sigmas[i - 1]) + offsets[i - 1]
    return z


def _eps(model, z: Tensor, sigma: Tensor, extra_args: dict) -> Tensor:
    x = z * (1 + sigma**2).sqrt()
    return to_d(x, sigma, model(x, sigma * x.new_ones([len(x)]), **extra_args))


def _ddim_step(z: Tensor, eps: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    alpha_bar, next_alpha_bar = 1 / (1 + sigma**2), 1 / (1 + next_sigma**2)
    picture = (z - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    return next_alpha_bar.sqrt() * picture + (1 - next_alpha_bar).sqrt() * eps

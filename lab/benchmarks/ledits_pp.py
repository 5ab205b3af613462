"""LEDITS++'s inversion as diffusers computes it, in z-space, as a peer to measure. Torch only.

z = x / sqrt(1 + sigma^2), as in `direct_inversion`; functions speak `model(x, sigma, **extra_args) -> denoised`, sigmas
ascend from 0, (N + 1,), z is (B, C, H, W). A step of the stochastic sampler from z_i has a mean, which the model gives,
and a noise of known size: the noise that leads to z_{i-1} is recorded, and added again when sampling.

order: 2, as LEDITS++: SDE-DPM-Solver++ with two predictions, one in the first and the last step. 1: DDIM with eta 1.
The last step, to sigma 0, has no noise: what its mean lacks stays an error, as in diffusers.

Source: Brack et al., "LEDITS++: Limitless Image Editing using Text-to-Image Models", section 3, after Huberman-
Spiegelglas et al.; Lu et al., "DPM-Solver++", for the sampler. As with num_zero_noise_steps = 0 in diffusers.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def noised(z: Tensor, sigmas: Tensor, seed: int) -> Tensor:
    """z under each step's own noise: sqrt(alpha_bar_i) z_0 + sqrt(1 - alpha_bar_i) n_i, (N + 1, B, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    steps = [z]
    for sigma in sigmas[1:]:
        noise = torch.randn(z.shape, generator=generator).to(z)
        steps.append((z + sigma * noise) / (1 + sigma**2).sqrt())
    return torch.stack(steps)


def invert(
    model: Callable[..., Tensor], z: Tensor, sigmas: Tensor, extra_args: dict, seed: int = 0, order: int = 2
) -> tuple[Tensor, Tensor]:
    """The noised way z_0 .. z_N, and each step's noise, (N, B, C, H, W); [i - 1] is step i's. N model calls."""
    way = noised(z, sigmas, seed)
    noises = torch.zeros_like(way[1:])
    means = _Means(model, sigmas, extra_args, order)
    for i in range(len(sigmas) - 1, 0, -1):
        mean, deviation = means(way[i], i)
        if deviation > 0:
            noises[i - 1] = (way[i - 1] - mean) / deviation
        way[i - 1] = mean + deviation * noises[i - 1]  # from where sampling will come, rounding errors and all
    return way, noises


def sample(
    model: Callable[..., Tensor], z: Tensor, noises: Tensor, sigmas: Tensor, extra_args: dict, order: int = 2
) -> Tensor:
    """The stochastic sampler from z_N down to z_0, with the recorded noises. N model calls."""
    means = _Means(model, sigmas, extra_args, order)
    for i in range(len(sigmas) - 1, 0, -1):
        mean, deviation = means(z, i)
        z = mean + deviation * noises[i - 1]
    return z


class _Means:
    """Mean and standard deviation of the step from z_i to z_{i-1}; called for i = N .. 1 in that order."""

    def __init__(self, model, sigmas: Tensor, extra_args: dict, order: int):
        self.model, self.sigmas, self.extra_args, self.order = model, sigmas, extra_args, order
        self.last_denoised = None

    def __call__(self, z: Tensor, i: int) -> tuple[Tensor, Tensor]:
        sigma, next_sigma = self.sigmas[i], self.sigmas[i - 1]
        x = z * (1 + sigma**2).sqrt()
        denoised = self.model(x, sigma * x.new_ones([len(x)]), **self.extra_args)
        towards, last_denoised = denoised, self.last_denoised
        self.last_denoised = denoised
        if self.order == 2 and last_denoised is not None and next_sigma > 0:
            step, last_step = (sigma / next_sigma).log(), (self.sigmas[i + 1] / sigma).log()
            towards = denoised + 0.5 * (step / last_step) * (denoised - last_denoised)
        kept = (next_sigma / sigma) ** 2
        scale = (1 + next_sigma**2).sqrt()
        return (kept * x + (1 - kept) * towards) / scale, next_sigma * (1 - kept).sqrt() / scale

"""One network as diffusers calls it, for z = x / sqrt(1 + sigma^2) at a timestep, and as k-diffusion does."""

from types import MappingProxyType

import torch

# Of diffusers' DDIM schedulers, as SDXL has them.
CONFIG = MappingProxyType(
    {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "steps_offset": 0,
    }
)
STEPS = 20


def noise_prediction(z, t):
    """A network for z at timestep t, as diffusers calls it."""
    weight = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(12))
    return torch.tanh(torch.nn.functional.conv2d(z, weight, padding=1) + t / 1000)


def sigmas_of(scheduler, timesteps):
    """The sigma of each timestep, and 0 before them: ascending."""
    alphas_cumprod = scheduler.alphas_cumprod.double()[timesteps]
    return torch.cat([torch.zeros(1), ((1 - alphas_cumprod) / alphas_cumprod).sqrt().float()])


def model_of(sigmas, timesteps):
    """The same network for x at sigma, as k-diffusion calls it."""

    def model(x, sigma):
        t = timesteps[(sigmas[1:] - sigma[0]).abs().argmin()]
        return x - sigma * noise_prediction(x / (1 + sigma**2) ** 0.5, t)

    return model

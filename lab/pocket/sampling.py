"""Sample the pocket world's text-to-image model with the host's own Euler sampler, outside of a graph."""

import pocket.comfyui  # noqa: F401  # isort: skip  first: it loads the host

from collections.abc import Sequence

import torch
from comfy.k_diffusion.sampling import sample_euler

from pocket.text import token_ids
from pocket.unet import LATENT, LATENT_CHANNELS, TIMESTEPS, TextToImage, alphas_bar
from pocket.vae import VAE

STEPS, CFG = 30, 4.0


def load_model(weights: dict[str, torch.Tensor]) -> TextToImage:
    """The model with what its training script keeps, in float32."""
    model = TextToImage(weights["text.vocabulary"]).eval()
    model.load_state_dict(weights)  # into float32
    return model


def schedule(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Evenly spaced timesteps, noisiest first, (steps,), and their sigmas with a 0 at the end, (steps + 1,)."""
    timesteps = torch.linspace(TIMESTEPS - 1, 0, steps).round().long()
    signal = alphas_bar()[timesteps]
    return timesteps, torch.cat([((1 - signal) / signal).sqrt(), torch.zeros(1)])


@torch.no_grad()
def sample(
    model: TextToImage, vae: VAE, prompts: Sequence[str], seed: int, steps: int = STEPS, cfg: float = CFG
) -> torch.Tensor:
    """Pictures of these prompts, (B, 128, 128, 3) uint8, with the empty prompt as the negative one."""
    ids, empty = token_ids(list(prompts)), token_ids([""]).expand(len(prompts), -1, -1)
    timesteps, sigmas = schedule(steps)

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        timestep = timesteps[(sigmas[:-1] - sigma[0]).abs().argmin()].float().expand(len(x))
        x_in = x / (1 + sigma[0] ** 2).sqrt()
        positive, negative = model(x_in.repeat(2, 1, 1, 1), timestep.repeat(2), torch.cat([ids, empty])).chunk(2)
        return x - sigma[0] * (negative + cfg * (positive - negative))

    shape = len(prompts), LATENT_CHANNELS, LATENT, LATENT
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    latents = sample_euler(denoise, noise * sigmas[0], sigmas, disable=True)
    pictures = vae.taesd_decoder(latents).clamp(0, 1)
    return (pictures * 255).round().byte().movedim(1, -1)

"""TAESD, the tiny autoencoder, in plain torch: the layers and the key names that ComfyUI's stock VAE loader expects.

Layout: github.com/madebyollin/taesd (MIT). A picture is (B, 3, H, W) from 0 to 1, H and W multiples of 8; a latent is
(B, 4, H / 8, W / 8), here of about unit variance: what SDXL's UNet sees.
"""

import torch
from torch import nn

SDXL_SCALE = 0.13025  # SDXL's UNet sees a VAE's latent times this


class Clamp(nn.Module):
    """Hold a latent softly within 3, as the stock decoder does."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return torch.tanh(latent / 3) * 3


class Block(nn.Module):
    """Three convolutions beside a straight way."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 64, H, W), the same out."""
        return torch.relu(self.conv(x) + x)


def _conv(n_in: int = 64, n_out: int = 64, **more) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, padding=1, **more)


def encoder() -> nn.Sequential:
    """Picture to latent."""
    halve = [layer for _ in range(3) for layer in (_conv(stride=2, bias=False), Block(), Block(), Block())]
    return nn.Sequential(_conv(3), Block(), *halve, _conv(n_out=4))


def decoder() -> nn.Sequential:
    """Latent to picture."""
    double = [
        layer for _ in range(3) for layer in (Block(), Block(), Block(), nn.Upsample(scale_factor=2), _conv(bias=False))
    ]
    return nn.Sequential(Clamp(), _conv(4), nn.ReLU(), *double, Block(), _conv(n_out=3))


class VAE(nn.Module):
    """Both halves, under the names of the stock file."""

    def __init__(self):
        super().__init__()
        self.taesd_encoder, self.taesd_decoder = encoder(), decoder()

    def forward(self, pictures: torch.Tensor, noise: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        """The decoded pictures and the latents. noise: deviation of what is added to the latents before decoding."""
        latents = self.taesd_encoder(pictures)
        return self.taesd_decoder(latents + noise * torch.randn_like(latents)), latents

    def file_weights(self) -> dict[str, torch.Tensor]:
        """What a stock VAE file holds, float16."""
        scale = {"vae_scale": torch.tensor(SDXL_SCALE), "vae_shift": torch.tensor(0.0)}
        return {key: value.detach().half().contiguous() for key, value in (self.state_dict() | scale).items()}

"""The pocket world's UNet: the host's own SDXL network at 32 model channels, one transformer block a level.

It reads the part of the context and of the pooled text that is not zero (text.py), so its projections of them are
2 * 64 and 64 wide here and 2048 and 2816 wide in the file.
"""

import pocket.comfyui  # noqa: F401  # isort: skip  first: it loads the host

import torch
from comfy import ops
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import nn

from pocket.text import WIDTH, TextEncoders

CHANNELS, DEPTH = 32, 1
LATENT, LATENT_CHANNELS = 16, 4
TIMESTEPS = 1000
# What the host's classes are told of the part that a ControlNet copies.
ENCODER = {
    "image_size": LATENT,
    "in_channels": LATENT_CHANNELS,
    "model_channels": CHANNELS,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "transformer_depth": [0, 0] + [DEPTH] * 4,
    "transformer_depth_middle": DEPTH,
    "context_dim": 2 * WIDTH,
    "num_classes": "sequential",
    "adm_in_channels": WIDTH,
    "legacy": False,
    "dtype": torch.float32,
    "operations": ops.disable_weight_init,
}


class TextToImage(nn.Module):
    """UNet and text encoders, which are trained together. vocabulary: see TextEncoders."""

    def __init__(self, vocabulary: torch.Tensor):
        super().__init__()
        self.text, self.unet = TextEncoders(vocabulary), unet()

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The noise in x, (B, 4, H, W) of unit variance, at timesteps (B,), 0 to 999, under the prompts `ids`."""
        context, pooled = self.text(ids)
        return self.unet(x, timesteps, context=context, y=pooled)


def unet() -> UNetModel:
    """A fresh network whose residual branches start out as nothing."""
    depths = [0] * 3 + [DEPTH] * 6
    network = UNetModel(out_channels=LATENT_CHANNELS, transformer_depth_output=depths, **ENCODER)
    for module in network.modules():
        for layer in (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm):
            if isinstance(module, layer):  # the host leaves weights as the memory was
                layer.reset_parameters(module)
    for name, module in network.named_modules():
        if name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def alphas_bar() -> torch.Tensor:
    """alpha_bar at each timestep, (1000,) float32: SDXL's schedule, betas linear in their square roots."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS, dtype=torch.float64).square()
    return (1 - betas).cumprod(dim=0).float()

"""A VAE with SDXL's own names and shapes (CompVis' autoencoder, 83,653,863 parameters) and random weights.

The random layers keep unit variance. What matters is set at both ends: latents of pictures have about unit variance in
the space that SDXL denoises, and decoded pictures are seldom black or white.
"""

from standins.sdxl import Weights
from standins.taesd import SDXL_SCALE

CHANNELS = (128, 256, 512, 512)
LATENT = 4
CONTRAST = 0.4
SILU_GAIN = 1.7  # SiLU takes about as much of a signal's size away
NAME = "first_stage_model"


def _resnet(weights: Weights, name: str, n_in: int, n_out: int) -> None:
    weights.norm(f"{name}.norm1", n_in)
    weights.conv(f"{name}.conv1", n_in, n_out)
    weights.norm(f"{name}.norm2", n_out)
    weights.conv(f"{name}.conv2", n_out, n_out, gain=0.7)
    if n_in != n_out:
        weights.conv(f"{name}.nin_shortcut", n_in, n_out, size=1)


def _middle(weights: Weights, name: str, width: int) -> None:
    _resnet(weights, f"{name}.block_1", width, width)
    weights.norm(f"{name}.attn_1.norm", width)
    for layer in ("q", "k", "v", "proj_out"):
        weights.conv(f"{name}.attn_1.{layer}", width, width, size=1)
    _resnet(weights, f"{name}.block_2", width, width)


def _encoder(weights: Weights, name: str) -> None:
    weights.conv(f"{name}.conv_in", 3, CHANNELS[0])
    width = CHANNELS[0]
    for level, channels in enumerate(CHANNELS):
        for block in range(2):
            _resnet(weights, f"{name}.down.{level}.block.{block}", width, channels)
            width = channels
        if level < len(CHANNELS) - 1:
            weights.conv(f"{name}.down.{level}.downsample.conv", width, width)
    _middle(weights, f"{name}.mid", width)
    weights.norm(f"{name}.norm_out", width)
    weights.conv(f"{name}.conv_out", width, 2 * LATENT, gain=SILU_GAIN / SDXL_SCALE)


def _decoder(weights: Weights, name: str) -> None:
    width = CHANNELS[-1]
    weights.conv(f"{name}.conv_in", LATENT, width, gain=SDXL_SCALE)
    _middle(weights, f"{name}.mid", width)
    for level in reversed(range(len(CHANNELS))):
        for block in range(3):
            _resnet(weights, f"{name}.up.{level}.block.{block}", width, CHANNELS[level])
            width = CHANNELS[level]
        if level:
            weights.conv(f"{name}.up.{level}.upsample.conv", width, width)
    weights.norm(f"{name}.norm_out", width)
    weights.conv(f"{name}.conv_out", width, 3, gain=SILU_GAIN * CONTRAST)


def draw_vae(weights: Weights) -> None:
    """Draw the VAE under the names of SDXL's single file."""
    _encoder(weights, f"{NAME}.encoder")
    weights.conv(f"{NAME}.quant_conv", 2 * LATENT, 2 * LATENT, size=1)
    weights.conv(f"{NAME}.post_quant_conv", LATENT, LATENT, size=1)
    _decoder(weights, f"{NAME}.decoder")

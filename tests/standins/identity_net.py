"""A stand-in for InstantID's IdentityNet: an SDXL ControlNet with diffusers' key names, small and with random weights.

Its context is as wide as SDXL's text, so it reads text as well as a face's tokens: it is an ordinary ControlNet too.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from standins.photomaker import SDXL_DEPTHS
from standins.sdxl import LANES, VECTOR, Weights, transformer

# Outputs of the convolutions that bring the hint (key points, say) to an eighth of its size; every second one halves.
HINT_CHANNELS = (16, 16, 32, 32, 96, 96, 256)
# SiLU takes about this much of a signal away.
SILU_GAIN = 2.4
# Size of what is added to the UNet, whose own features have a deviation of about one.
INFLUENCE = 0.5


def _resnet(weights, name, n_in, n_out, embedding):
    weights.norm(f"{name}.norm1", n_in)
    weights.conv(f"{name}.conv1", n_in, n_out)
    weights.linear(f"{name}.time_emb_proj", embedding, n_out)
    weights.norm(f"{name}.norm2", n_out)
    weights.conv(f"{name}.conv2", n_out, n_out, gain=0.7)
    if n_in != n_out:
        weights.conv(f"{name}.conv_shortcut", n_in, n_out, size=1)


def _hint_layers(weights, name, width):
    n_in, names = 3, ("conv_in", *(f"blocks.{index}" for index in range(len(HINT_CHANNELS) - 1)))
    for layer, n_out in zip(names, HINT_CHANNELS, strict=True):
        weights.conv(f"{name}.{layer}", n_in, n_out, gain=SILU_GAIN)
        n_in = n_out
    weights.conv(f"{name}.conv_out", n_in, width, gain=SILU_GAIN)


def _out_layer(weights, name, width):
    """One of the `zero convolutions`, which training has moved away from zero."""
    weights.conv(name, width, width, size=1, gain=INFLUENCE)
    # The tiny UNet's picture itself passes through its first channels.
    weights.silence(name, slice(LANES))


def draw_identity_net(weights: Weights, model_channels: int = 32, depths: tuple[int, int] = SDXL_DEPTHS) -> None:
    """Draw the file's 844 tensors (at SDXL's own depths) for an SDXL UNet this wide (really 320) and this deep."""
    embedding = 4 * model_channels
    weights.conv("conv_in", 4, model_channels)
    for name, inputs in (("time_embedding", model_channels), ("add_embedding", VECTOR)):
        weights.linear(f"{name}.linear_1", inputs, embedding)
        weights.linear(f"{name}.linear_2", embedding, embedding)
    _hint_layers(weights, "controlnet_cond_embedding", model_channels)

    width, stored = model_channels, [model_channels]
    for level, depth in enumerate((0, *depths)):
        block, n_in, width = f"down_blocks.{level}", width, model_channels * 2**level
        for index in range(2):
            _resnet(weights, f"{block}.resnets.{index}", width if index else n_in, width, embedding)
            if depth:
                transformer(weights, f"{block}.attentions.{index}", width, depth)
            stored.append(width)
        if level < len(depths):
            weights.conv(f"{block}.downsamplers.0.conv", width, width)
            stored.append(width)
    for index in range(2):
        _resnet(weights, f"mid_block.resnets.{index}", width, width, embedding)
    transformer(weights, "mid_block.attentions.0", width, depths[-1])

    for index, channels in enumerate(stored):
        _out_layer(weights, f"controlnet_down_blocks.{index}", channels)
    _out_layer(weights, "controlnet_mid_block", width)


def identity_net_tensors(seed: int = 0, depths: tuple[int, int] = SDXL_DEPTHS) -> dict[str, torch.Tensor]:
    """The tensors for the tiny UNet, float16."""
    weights = Weights(seed)
    draw_identity_net(weights, depths=depths)
    return weights.tensors


def make_identity_net(path: Path, seed: int = 0, depths: tuple[int, int] = SDXL_DEPTHS) -> Path:
    """Write a stand-in file for the tiny UNet (safetensors, 13 MB at one transformer block an attention).

    The host's own ControlNet loader reads it once `support_pack.tiny_sdxl.register_tiny_sdxl()` has run. Returns the
    path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(identity_net_tensors(seed, depths=depths), path, metadata={"format": "pt"})
    return path

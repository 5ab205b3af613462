"""A stand-in for InstantID's ip-adapter.bin: the real file's keys and layouts, small and with random weights.

It is no trained model: other faces give other tokens, and every attention layer of the UNet heeds them.
"""

from pathlib import Path

import safetensors.torch
import torch
from standins.photomaker import SDXL_DEPTHS, TEXT_WIDTH
from standins.sdxl import Weights

FACE_WIDTH = 512
TOKENS = 16
# SDXL's attentions in the order of diffusers' attention processors: width in units of model_channels, which of the two
# depths, and how many of them. The down blocks, the up blocks, and the middle block last.
ATTENTIONS = ((2, 0, 2), (4, 1, 2), (4, 1, 3), (2, 0, 3), (4, 1, 1))


def resampler_tensors(
    seed: int = 0, width: int = 128, layers: int = 4, tokens: int = TOKENS, output: int = TEXT_WIDTH
) -> dict[str, torch.Tensor]:
    """The `image_proj` part, float16. width: of the resampler (really 1280, 20 heads of 64). output: of its tokens."""
    weights = Weights(seed)
    weights.normal("latents", 1, tokens, width)
    weights.linear("proj_in", FACE_WIDTH, width)
    for layer in range(layers):
        attention, feed_forward = f"layers.{layer}.0", f"layers.{layer}.1"
        weights.norm(f"{attention}.norm1", width)
        weights.norm(f"{attention}.norm2", width)
        weights.linear(f"{attention}.to_q", width, width, bias=False)
        weights.linear(f"{attention}.to_kv", width, 2 * width, bias=False)
        weights.linear(f"{attention}.to_out", width, width, bias=False)
        weights.norm(f"{feed_forward}.0", width)
        weights.linear(f"{feed_forward}.1", width, 4 * width, bias=False)
        weights.linear(f"{feed_forward}.3", 4 * width, width, bias=False)
    weights.linear("proj_out", width, output)
    weights.norm("norm_out", output)
    return weights.tensors


def adapter_tensors(
    seed: int = 0, model_channels: int = 32, depths: tuple[int, int] = SDXL_DEPTHS, context: int = TEXT_WIDTH
) -> dict[str, torch.Tensor]:
    """The `ip_adapter` part, float16: keys and values of each attention layer, at odd numbers from 1 on (70 layers).

    For an SDXL UNet this wide (really 320) and this deep: `depths` of the attentions at half and at quarter size.
    """
    weights = Weights(seed)
    number = 1
    for multiple, level, places in ATTENTIONS:
        for _ in range(places * depths[level]):
            for name in ("to_k_ip", "to_v_ip"):
                weights.linear(f"{number}.{name}", context, multiple * model_channels, bias=False)
            number += 2
    return weights.tensors


def instantid_tensors(
    seed: int = 0, model_channels: int = 32, depths: tuple[int, int] = SDXL_DEPTHS, width: int = 128
) -> dict[str, dict[str, torch.Tensor]]:
    """Both parts of the file, by name. The real one has model_channels 320 and width 1280."""
    return {
        "image_proj": resampler_tensors(seed, width),
        "ip_adapter": adapter_tensors(seed + 1, model_channels, depths),
    }


def make_instantid(
    path: Path, seed: int = 0, depths: tuple[int, int] = SDXL_DEPTHS, model_channels: int = 32, width: int = 128
) -> Path:
    """Write a stand-in file: in the dict layout (.bin) or the prefixed one (.safetensors).

    For the tiny UNet 10 MB at one transformer block an attention, 51 MB at SDXL's own depths. Returns the path.
    """
    parts = instantid_tensors(seed, model_channels, depths, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        flat = {f"{part}.{key}": tensor for part, tensors in parts.items() for key, tensor in tensors.items()}
        safetensors.torch.save_file(flat, path)
    else:
        torch.save(parts, path)
    return path

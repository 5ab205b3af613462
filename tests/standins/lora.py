"""A stand-in for an SDXL LoRA as kohya's trainer writes it: on the attentions of the UNet and of both text encoders."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from standins.sdxl import CONTEXT, TINY, Size, Weights

RANK = 4
# Change of a weight in units of its own size, in the UNet and in the text encoders.
UNET_CHANGE, TEXT_CHANGE = 0.6, 0.2
# The UNet's transformers as SDXL's own file names them: level, places.
TRANSFORMERS = (
    (1, ("input_blocks_4_1", "input_blocks_5_1", "output_blocks_3_1", "output_blocks_4_1", "output_blocks_5_1")),
    (
        2,
        (
            *("input_blocks_7_1", "input_blocks_8_1", "middle_block_1"),
            *("output_blocks_0_1", "output_blocks_1_1", "output_blocks_2_1"),
        ),
    ),
)


def _pair(weights, name, n_in, n_out, change, rank):
    """The low-rank difference of a weight that was drawn with variance 1 / n_in. alpha equals the rank: scale 1."""
    weights.normal(f"{name}.lora_down.weight", rank, n_in, std=n_in**-0.5)
    weights.normal(f"{name}.lora_up.weight", n_out, rank, std=change * rank**-0.5)
    weights.put(f"{name}.alpha", torch.tensor(float(rank)))


def lora_tensors(
    seed: int = 0, unet_change: float = UNET_CHANGE, size: Size = TINY, rank: int = RANK
) -> dict[str, torch.Tensor]:
    """The file's tensors, float16. unet_change: of the UNet's weights, as a share of their size."""
    weights = Weights(seed)
    for level, places in TRANSFORMERS:
        width, depth = size.channels[level], size.depths[level]
        blocks = [f"lora_unet_{place}_transformer_blocks_{block}" for place in places for block in range(depth)]
        for block in blocks:
            for attention, context in (("attn1", width), ("attn2", CONTEXT)):
                for name, n_in in (("to_q", width), ("to_k", context), ("to_v", context), ("to_out_0", width)):
                    _pair(weights, f"{block}_{attention}_{name}", n_in, width, unet_change, rank)
    for number, width, layers, hidden in zip((1, 2), (768, 1280), size.clip_layers, size.clip_hidden, strict=True):
        for index in range(layers):
            layer = f"lora_te{number}_text_model_encoder_layers_{index}"
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                _pair(weights, f"{layer}_self_attn_{name}", width, width, TEXT_CHANGE, rank)
            _pair(weights, f"{layer}_mlp_fc1", width, hidden, TEXT_CHANGE, rank)
            _pair(weights, f"{layer}_mlp_fc2", hidden, width, TEXT_CHANGE, rank)
    return weights.tensors


def make_lora(path: Path, seed: int = 0, **settings) -> Path:
    """Write a stand-in LoRA (safetensors, 1 MB for the tiny SDXL) and return its path. settings: of `lora_tensors`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(lora_tensors(seed, **settings), path, metadata={"ss_network_module": "networks.lora"})
    return path

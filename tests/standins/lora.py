"""A stand-in for an SDXL LoRA as kohya's trainer writes it: on the attentions of the UNet and of both text encoders."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from standins.sdxl import CHANNELS, CLIP_HIDDEN, CLIP_LAYERS, CONTEXT, DEPTHS, Weights

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


def _pair(weights, name, n_in, n_out, change):
    """The low-rank difference of a weight that was drawn with variance 1 / n_in. alpha equals the rank: scale 1."""
    weights.normal(f"{name}.lora_down.weight", RANK, n_in, std=n_in**-0.5)
    weights.normal(f"{name}.lora_up.weight", n_out, RANK, std=change * RANK**-0.5)
    weights.tensors[f"{name}.alpha"] = torch.tensor(float(RANK), dtype=torch.float16)


def lora_tensors(seed: int = 0, unet_change: float = UNET_CHANGE) -> dict[str, torch.Tensor]:
    """The file's tensors, float16, for the tiny SDXL. unet_change: of the UNet's weights, as a share of their size."""
    weights = Weights(seed)
    for level, places in TRANSFORMERS:
        width = CHANNELS[level]
        blocks = [f"lora_unet_{place}_transformer_blocks_{block}" for place in places for block in range(DEPTHS[level])]
        for block in blocks:
            for attention, context in (("attn1", width), ("attn2", CONTEXT)):
                for name, n_in in (("to_q", width), ("to_k", context), ("to_v", context), ("to_out_0", width)):
                    _pair(weights, f"{block}_{attention}_{name}", n_in, width, unet_change)
    for number, width in ((1, 768), (2, 1280)):
        for index in range(CLIP_LAYERS):
            layer = f"lora_te{number}_text_model_encoder_layers_{index}"
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                _pair(weights, f"{layer}_self_attn_{name}", width, width, TEXT_CHANGE)
            _pair(weights, f"{layer}_mlp_fc1", width, CLIP_HIDDEN, TEXT_CHANGE)
            _pair(weights, f"{layer}_mlp_fc2", CLIP_HIDDEN, width, TEXT_CHANGE)
    return weights.tensors


def make_lora(path: Path, seed: int = 0) -> Path:
    """Write a stand-in LoRA (safetensors, 1 MB) and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(lora_tensors(seed), path, metadata={"ss_network_module": "networks.lora"})
    return path

"""Stand-ins for photomaker-v1.bin and photomaker-v2.bin: the real files' keys and layouts, small, random weights.

It is no trained model: pictures of different people give different embeddings, and that is all it knows of faces.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import safetensors.torch
import torch
from standins.sdxl import Weights

TEXT_WIDTH = 2048
PROJECTED = 768
FACE_WIDTH = 512
TOKENS_PER_IMAGE = 2
# SDXL's attentions as diffusers names them, by level: width in units of model_channels, places.
SDXL_ATTENTIONS = (
    (2, (*(f"down_blocks.1.attentions.{i}" for i in range(2)), *(f"up_blocks.1.attentions.{i}" for i in range(3)))),
    (
        4,
        (
            *(f"down_blocks.2.attentions.{i}" for i in range(2)),
            "mid_block.attentions.0",
            *(f"up_blocks.0.attentions.{i}" for i in range(3)),
        ),
    ),
)
# How many transformer blocks an attention of each level has: 70 in all, with 8 weights each, so 560 LoRA pairs.
SDXL_DEPTHS = (2, 10)


def encoder_tensors(
    seed: int = 0, hidden: int = 64, layers: int = 2, patch: int = 14, image_size: int = 224, width: int = TEXT_WIDTH
) -> dict[str, torch.Tensor]:
    """The `id_encoder` part, float16. width: of the text embeddings, which gives the fuse module its real size."""
    weights = Weights(seed)
    embeddings = "vision_model.embeddings"
    weights.normal(f"{embeddings}.class_embedding", hidden)
    weights.normal(f"{embeddings}.patch_embedding.weight", hidden, 3, patch, patch, std=1 / patch)
    weights.normal(f"{embeddings}.position_embedding.weight", (image_size // patch) ** 2 + 1, hidden, std=0.1)
    weights.norm("vision_model.pre_layrnorm", hidden)
    for layer in range(layers):
        prefix = f"vision_model.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights.linear(f"{prefix}.self_attn.{name}", hidden, hidden)
        weights.norm(f"{prefix}.layer_norm1", hidden)
        weights.linear(f"{prefix}.mlp.fc1", hidden, 4 * hidden)
        weights.linear(f"{prefix}.mlp.fc2", 4 * hidden, hidden)
        weights.norm(f"{prefix}.layer_norm2", hidden)
    weights.norm("vision_model.post_layernorm", hidden)
    weights.linear("visual_projection", hidden, PROJECTED, bias=False)
    weights.linear("visual_projection_2", hidden, width - PROJECTED, bias=False)
    for name, inputs in (("mlp1", 2 * width), ("mlp2", width)):
        weights.norm(f"fuse_module.{name}.layernorm", inputs)
        weights.linear(f"fuse_module.{name}.fc1", inputs, width)
        weights.linear(f"fuse_module.{name}.fc2", width, width)
    weights.norm("fuse_module.layer_norm", width)
    return weights.tensors


def perceiver_tensors(
    seed: int = 0,
    hidden: int = 64,
    layers: int = 2,
    inner: int = 128,
    feed: int = 64,
    proj: int = 64,
    width: int = TEXT_WIDTH,
    tokens: int = TOKENS_PER_IMAGE,
) -> dict[str, torch.Tensor]:
    """What V2 adds to the `id_encoder` part, float16.

    hidden: of the vision transformer. inner: of the attention, in heads of 128 (really 2048). feed, proj: hidden
    widths of the feed-forward layers (really 8192) and of the projection of the face's embedding (really 2048).
    """
    weights = Weights(seed)
    name = "qformer_perceiver"
    weights.linear(f"{name}.token_proj.0", FACE_WIDTH, proj)
    weights.linear(f"{name}.token_proj.2", proj, width * tokens)
    weights.norm(f"{name}.token_norm", width)
    name = "qformer_perceiver.perceiver_resampler"
    weights.linear(f"{name}.proj_in", hidden, width)
    weights.linear(f"{name}.proj_out", width, width)
    weights.norm(f"{name}.norm_out", width)
    for layer in range(layers):
        attention, feed_forward = f"{name}.layers.{layer}.0", f"{name}.layers.{layer}.1"
        weights.norm(f"{attention}.norm1", width)
        weights.norm(f"{attention}.norm2", width)
        weights.linear(f"{attention}.to_q", width, inner, bias=False)
        weights.linear(f"{attention}.to_kv", width, 2 * inner, bias=False)
        weights.linear(f"{attention}.to_out", inner, width, bias=False)
        weights.norm(f"{feed_forward}.0", width)
        weights.linear(f"{feed_forward}.1", width, feed, bias=False)
        weights.linear(f"{feed_forward}.3", feed, width, bias=False)
    return weights.tensors


def lora_tensors(
    seed: int = 0, model_channels: int = 32, depths: tuple[int, int] = SDXL_DEPTHS, rank: int = 4
) -> dict[str, torch.Tensor]:
    """The `lora_weights` part, float16, for an SDXL UNet this wide (really 320, and rank 64) and this deep.

    It changes a weight by a fifth of the size that it has when drawn with variance 1 / inputs.
    """
    weights = Weights(seed)
    for (multiple, places), depth in zip(SDXL_ATTENTIONS, depths, strict=True):
        width = multiple * model_channels
        for place, block in itertools.product(places, range(depth)):
            for attention, context in (("attn1", width), ("attn2", TEXT_WIDTH)):
                prefix = f"unet.{place}.transformer_blocks.{block}.{attention}.processor"
                for name, inputs in (("to_q", width), ("to_k", context), ("to_v", context), ("to_out", width)):
                    weights.normal(f"{prefix}.{name}_lora.down.weight", rank, inputs, std=inputs**-0.5)
                    weights.normal(f"{prefix}.{name}_lora.up.weight", width, rank, std=0.2 * rank**-0.5)
    return weights.tensors


def make_photomaker(
    path: Path,
    seed: int = 0,
    depths: tuple[int, int] = SDXL_DEPTHS,
    version: int = 1,
    encoder: Mapping[str, int] = MappingProxyType({}),
    perceiver: Mapping[str, int] = MappingProxyType({}),
    lora: Mapping[str, int] = MappingProxyType({}),
) -> Path:
    """Write a stand-in file (V1 46 MB, V2 61 MB) in the dict layout (.bin) or the prefixed one (.safetensors).

    encoder, perceiver, lora: sizes of these parts, as `encoder_tensors`, `perceiver_tensors` and `lora_tensors` take
    them. Returns its path.
    """
    parts = {
        "id_encoder": encoder_tensors(seed, **encoder),
        "lora_weights": lora_tensors(seed + 1, depths=depths, **lora),
    }
    if version == 2:
        parts["id_encoder"] |= perceiver_tensors(seed + 2, **perceiver)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        flat = {f"{part}.{key}": tensor for part, tensors in parts.items() for key, tensor in tensors.items()}
        safetensors.torch.save_file(flat, path)
    else:
        torch.save(parts, path)
    return path

"""Write the pocket world's model as an SDXL checkpoint that a stock loader takes, from what the training scripts keep.

python lab pocket.checkpoint --output FILE       needs unet.safetensors and taesd.safetensors

The file has SDXL's own widths, zeros where the training left them out (text.py): context 2048, vector 2816, CLIP-L and
CLIP-G of 768 and 1280. Tokens that no caption has keep random embeddings from a seed.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from pocket.kept import CHECKPOINT, OUTPUT
from pocket.text import FULL_WIDTHS, HIDDEN, LAYERS, VOCABULARY, WIDTH

VECTOR = 2816
SEED = 0


def padded(tensor: torch.Tensor, *shape: int) -> torch.Tensor:
    """A tensor of this shape with `tensor` in its first corner and 0 elsewhere."""
    whole = tensor.new_zeros(shape)
    whole[tuple(slice(length) for length in tensor.shape)] = tensor
    return whole


def checkpoint_tensors(model: dict[str, torch.Tensor], vae: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The checkpoint by the stock key names, float16. model: TextToImage's weights. vae: a TAESD file's content."""
    tensors = {f"first_stage_model.{key}": tensor for key, tensor in vae.items()}
    for key, tensor in part(model, "unet.").items():
        tensors[f"model.diffusion_model.{key}"] = widened(key, tensor)
    vocabulary = model["text.vocabulary"]
    tensors |= _clip_l(part(model, "text.l."), vocabulary)
    tensors |= _clip_g(part(model, "text.g."), vocabulary)
    return {key: tensor.half().contiguous() for key, tensor in tensors.items()}


def widened(key: str, tensor: torch.Tensor) -> torch.Tensor:
    """A weight of the UNet, or of a copy of its encoder, as wide as the text in the file. key: its stock name."""
    if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
        return reads_text(tensor)
    return padded(tensor, len(tensor), VECTOR) if key == "label_emb.0.0.weight" else tensor


def reads_text(weight: torch.Tensor) -> torch.Tensor:
    """(N, 2 * WIDTH), which reads what is not zero in a text state, as (N, 2048), which reads all of one."""
    full = weight.new_zeros(len(weight), sum(FULL_WIDTHS.values()))
    full[:, :WIDTH] = weight[:, :WIDTH]
    full[:, FULL_WIDTHS["l"] : FULL_WIDTHS["l"] + WIDTH] = weight[:, WIDTH:]
    return full


def part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """What stands under this prefix, without it."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _embeddings(encoder: dict[str, torch.Tensor], vocabulary: torch.Tensor, width: int):
    """Token and position embeddings at full width."""
    tokens = torch.randn(VOCABULARY, WIDTH, generator=torch.Generator().manual_seed(SEED)).half()
    tokens[vocabulary.long()] = encoder["token_embedding.weight"].half()
    return padded(tokens, VOCABULARY, width), padded(encoder["position_embedding.weight"], 77, width)


def _layers(encoder: dict[str, torch.Tensor], width: int):
    """Name and full tensor of everything in the layers, CLIP-L's names; the last layer is 0."""
    shapes = {
        **{f"layer_norm{n}.{part}": (width,) for n in (1, 2) for part in ("weight", "bias")},
        **{f"self_attn.{p}_proj.weight": (width, width) for p in ("q", "k", "v", "out")},
        **{f"self_attn.{p}_proj.bias": (width,) for p in ("q", "k", "v", "out")},
        **{"mlp.fc1.weight": (HIDDEN, width), "mlp.fc1.bias": (HIDDEN,)},
        **{"mlp.fc2.weight": (width, HIDDEN), "mlp.fc2.bias": (width,)},
    }
    for index in range(LAYERS):
        for name, shape in shapes.items():
            trained = encoder.get(f"layers.{index}.{name}")
            yield index, name, torch.zeros(shape) if trained is None else padded(trained, *shape)


def _clip_l(encoder: dict[str, torch.Tensor], vocabulary: torch.Tensor) -> dict[str, torch.Tensor]:
    name, width = "conditioner.embedders.0.transformer.text_model", FULL_WIDTHS["l"]
    tokens, positions = _embeddings(encoder, vocabulary, width)
    tensors = {
        f"{name}.embeddings.token_embedding.weight": tokens,
        f"{name}.embeddings.position_embedding.weight": positions,
        f"{name}.final_layer_norm.weight": padded(encoder["final_layer_norm.weight"], width),
        f"{name}.final_layer_norm.bias": padded(encoder["final_layer_norm.bias"], width),
    }
    return tensors | {f"{name}.encoder.layers.{index}.{key}": value for index, key, value in _layers(encoder, width)}


def _clip_g(encoder: dict[str, torch.Tensor], vocabulary: torch.Tensor) -> dict[str, torch.Tensor]:
    """OpenCLIP's names: one tensor for queries, keys and values."""
    name, width = "conditioner.embedders.1.model", FULL_WIDTHS["g"]
    tokens, positions = _embeddings(encoder, vocabulary, width)
    tensors = {
        f"{name}.token_embedding.weight": tokens,
        f"{name}.positional_embedding": positions,
        f"{name}.ln_final.weight": padded(encoder["final_layer_norm.weight"], width),
        f"{name}.ln_final.bias": padded(encoder["final_layer_norm.bias"], width),
        f"{name}.text_projection": torch.eye(width),
        f"{name}.logit_scale": torch.tensor(4.6055),  # CLIP's own; no encoding depends on it
    }
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    parts = {}
    for index, key, value in _layers(encoder, width):
        block, (module, kind) = f"{name}.transformer.resblocks.{index}", key.rsplit(".", 1)
        if module in names:
            tensors[f"{block}.{names[module]}.{kind}"] = value
        elif module == "self_attn.out_proj":
            tensors[f"{block}.attn.out_proj.{kind}"] = value
        else:
            parts.setdefault(f"{block}.attn.in_proj_{kind}", []).append(value)
    return tensors | {key: torch.cat(values) for key, values in parts.items()}


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=OUTPUT, help="the folder of the trained weights")
    parser.add_argument("--output", type=Path, default=OUTPUT / CHECKPOINT)
    options = parser.parse_args()
    weights = (load_file(options.weights / f"{name}.safetensors") for name in ("unet", "taesd"))
    save_file(checkpoint_tensors(*weights), options.output, metadata={"format": "pt"})
    print(options.output)


if __name__ == "__main__":
    main()

"""What a value on a socket holds, in a form that a client can judge: shapes, whether it is finite, a hash."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping

import comfy.clip_vision
import torch


def tensors_of(value, depth: int = 0) -> Iterator[torch.Tensor]:
    """Every tensor in a LATENT, CONDITIONING, recording and the like, in a fixed order."""
    if depth > 8:
        return
    if isinstance(value, torch.Tensor):
        yield from value.unbind() if value.is_nested else (value,)
    elif isinstance(value, Mapping):
        for name in sorted(map(str, value)):
            yield from tensors_of(value.get(name), depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item, depth + 1)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_of(getattr(value, field.name), depth + 1)


def digest(value) -> dict:
    """{"kind", "shapes", "finite", "largest", "hash"}: the tensors of any value, or the number or text that it is.

    finite: no NaN and no Inf, in tensors and numbers alike. largest: the largest absolute value of any tensor.
    hash: of all bits, so that two are equal only if the values are.
    """
    found = {"kind": type(value).__name__, "shapes": [], "finite": True, "largest": 0.0}
    bits = hashlib.sha256()
    if isinstance(value, bool | int | str):
        bits.update(repr(value).encode("utf-8", "surrogatepass"))
    elif isinstance(value, float):
        found["finite"] = math.isfinite(value)
        bits.update(repr(value).encode())
    for tensor in tensors_of(value):
        tensor = tensor.detach().cpu().contiguous()
        found["shapes"].append(list(tensor.shape))
        bits.update(repr((tensor.shape, tensor.dtype)).encode())
        if tensor.numel():
            bits.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
            if tensor.is_floating_point():
                found["finite"] &= bool(torch.isfinite(tensor).all())
                found["largest"] = max(found["largest"], tensor.double().nan_to_num().abs().max().item())
    return {**found, "hash": bits.hexdigest()}


def as_text(value) -> str:
    """`digest` as JSON."""
    return json.dumps(digest(value))


def image_half(width: int):
    """The host's own CLIP_VISION, two layers deep, with random weights: the same ones each time."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2}
    pictures = {"image_size": 56, "patch_size": 14, "num_channels": 3}
    kind = {"model_type": "clip_vision_model", "hidden_act": "gelu", "projection_dim": width}
    half = comfy.clip_vision.ClipVisionModel({**sizes, **pictures, **kind})
    generator = torch.Generator().manual_seed(0)
    for parameter in half.model.parameters():
        deviation = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 1.0
        parameter.data.copy_(deviation * torch.randn(parameter.shape, generator=generator))
    return half


def untouched_difference(before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor) -> float:
    """Largest difference of two (B, H, W, C) pictures where the mask, (B, H, W), is 0."""
    if before.shape[:3] != after.shape[:3] or mask.shape != before.shape[:3]:
        raise ValueError(f"different shapes: {tuple(before.shape)}, {tuple(after.shape)}, {tuple(mask.shape)}")
    channels = min(before.shape[-1], after.shape[-1])
    difference = (before[..., :channels] - after[..., :channels]).abs() * (mask == 0)[..., None]
    return difference.max().item() if difference.numel() else 0.0


def made(shape: str, dtype: str, fill: str, seed: int) -> torch.Tensor:
    """A tensor for fuzzing. shape: as in "1,64,64,3". fill: random, zeros, ones, nan, inf or negative."""
    size = [int(length) for length in shape.split(",") if length.strip()]
    numbers = torch.rand(size, generator=torch.Generator().manual_seed(seed))
    constants = {"zeros": 0.0, "ones": 1.0, "nan": math.nan, "inf": math.inf, "negative": -1.0}
    if fill in constants:
        numbers = torch.full(size, constants[fill])
    return numbers.to(getattr(torch, dtype))

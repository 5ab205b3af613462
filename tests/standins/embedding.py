"""A stand-in for an SDXL textual inversion: a person as a few vectors for each of the two text encoders."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from standins.sdxl import Weights


def embedding_tensors(seed: int = 0, vectors: int = 4) -> dict[str, torch.Tensor]:
    """clip_l (vectors, 768) and clip_g (vectors, 1280), float16, of the size that the tiny encoders' words have."""
    weights = Weights(seed)
    weights.normal("clip_l", vectors, 768)
    weights.normal("clip_g", vectors, 1280)
    return weights.tensors


def make_embedding(path: Path, seed: int = 0) -> Path:
    """Write a stand-in textual inversion (safetensors) and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(embedding_tensors(seed), path)
    return path

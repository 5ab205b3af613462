"""DINO: the mean cosine of class tokens, whole picture against the person's other pictures."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from paper.embeddings import likeness
from paper.metric import Metric
from paper.pictures import digest, open_picture
from paper.weights import DINO, Weights


def dino(weights: Weights, device: str) -> Metric:
    """The metric, by a vision transformer of transformers, in float32. Raises MissingError."""
    from transformers import AutoImageProcessor, AutoModel

    folder = weights.find(DINO)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval().to(device)
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def embed(paths: Sequence[Path]) -> list[Tensor]:
        pixels = processor([open_picture(path) for path in paths], return_tensors="pt").to(device)
        return list(F.normalize(model(**pixels).last_hidden_state[:, 0], dim=1).cpu())

    return likeness("dino", "DINO", digest(folder), embed)

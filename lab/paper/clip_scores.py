"""CLIP-T, CLIP-I and CLIP-IQA, all by one CLIP."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from paper.embeddings import likeness
from paper.metric import HIGHER, Metric
from paper.pictures import digest, open_picture
from paper.records import Record
from paper.weights import CLIP, Weights

GOOD, BAD = "Good photo.", "Bad photo."  # CLIP-IQA's prompts of quality


@dataclass(frozen=True)
class Clip:
    """A CLIPModel of transformers with its processor. version: a digest of its files."""

    model: object
    processor: object
    device: str
    version: str

    @torch.inference_mode()
    def pictures(self, paths: Sequence[Path]) -> Tensor:
        """The directions of pictures, (B, D), prepared as the model's own processor does."""
        pixels = self.processor.image_processor([open_picture(path) for path in paths], return_tensors="pt")
        return self._directions(self.model.get_image_features(**pixels.to(self.device)))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """The directions of texts, (B, D); what is beyond CLIP's 77 tokens is cut off."""
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.processor.tokenizer(
            list(texts), return_tensors="pt", padding=True, truncation=True, max_length=length
        )
        return self._directions(self.model.get_text_features(**tokens.to(self.device)))

    def _directions(self, features) -> Tensor:
        features = getattr(features, "pooler_output", features)  # a plain tensor before transformers 5
        return F.normalize(features, dim=-1).cpu()


def load_clip(weights: Weights, device: str) -> Clip:
    """Load it in float32. Raises MissingError."""
    from transformers import CLIPModel, CLIPProcessor

    folder = weights.find(CLIP)
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval().to(device)
    return Clip(model, CLIPProcessor.from_pretrained(folder, local_files_only=True), device, digest(folder))


def clip_t(clip: Clip) -> Metric:
    """The cosine of picture and prompt. Not clipped, not scaled up."""

    def measure(records: Sequence[Record]) -> list[float]:
        pictures = clip.pictures([record.picture for record in records])
        return (pictures * clip.texts([record.text for record in records])).sum(dim=1).tolist()

    return Metric("clip_t", "CLIP-T", HIGHER, clip.version, measure, reads=("text",))


def clip_i(clip: Clip) -> Metric:
    """The mean cosine of the whole picture with the person's other pictures."""
    return likeness("clip_i", "CLIP-I", clip.version, lambda paths: list(clip.pictures(paths)))


def clip_iqa(clip: Clip) -> Metric:
    """The probability of GOOD against BAD, at the model's own temperature."""
    anchors = clip.texts([GOOD, BAD])
    temperature = clip.model.logit_scale.exp().item()

    def measure(records: Sequence[Record]) -> list[float]:
        logits = temperature * clip.pictures([record.picture for record in records]) @ anchors.T
        return logits.softmax(dim=1)[:, 0].tolist()

    return Metric("clip_iqa", "CLIP-IQA", HIGHER, clip.version, measure)

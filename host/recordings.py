"""What CE_PIVOT and CE_RESIDUAL_NOISE carry: a pivot or a recording, and the kind of model that it belongs to."""

from dataclasses import dataclass

import torch

from ..resinversion import Pivot, Recording
from .checks import model_kind


@dataclass(frozen=True)
class ModelPivot(Pivot):
    """A Pivot of one kind of model. model_kind: see `checks.model_kind`; only that kind can sample along it."""

    model_kind: str


@dataclass(frozen=True)
class ModelRecording(Recording):
    """A Recording of one kind of model. model_kind: see `checks.model_kind`; only that kind can sample along it."""

    model_kind: str


def of_kind(recording: Pivot, kind: str) -> ModelPivot | ModelRecording:
    """A Pivot or Recording with its model's kind.

    Raises ValueError unless its sigmas ascend from 0 and its anchors are finite.
    """
    if recording.sigmas[0] != 0 or not (recording.sigmas.diff() > 0).all():
        raise ValueError("sigmas: not a schedule that ends at 0, so nothing could be sampled along what was recorded.")
    if not torch.isfinite(recording.anchors).all():
        raise ValueError(
            "latent_image: its numbers are too large for this schedule, on which they become Inf. Connect a picture's "
            "latent, as VAE Encode makes it."
        )
    if isinstance(recording, Recording):
        return ModelRecording(recording.sigmas, recording.anchors, recording.predictions, kind)
    return ModelPivot(recording.sigmas, recording.anchors, kind)


def of_model(recording: Pivot, model_patcher) -> ModelPivot | ModelRecording:
    """A Pivot or Recording that was made with a MODEL, with that MODEL's kind."""
    return of_kind(recording, model_kind(model_patcher))


def empty_latent(recording: Pivot) -> dict:
    """LATENT of zeros of the recorded picture's shape, (B, C, H, W)."""
    return {"samples": torch.zeros_like(recording.anchors[0])}

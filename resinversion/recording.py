"""What an inversion records, and the residual noise that follows from it (the paper's eq. 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """The ODE derivative dx/dsigma, which is the predicted noise eps, in float32 (k-diffusion's name).

    x, denoised: (B, C, H, W); sigma > 0: a scalar or, one for each row, (B, 1, 1, 1). It is the same for epsilon-, v-
    and flow-prediction models, since each reaches the sampler as `denoised`.
    """
    return (x.float() - denoised.float()) / sigma


@dataclass(frozen=True)
class Pivot:
    """A trajectory from a picture's latent to noise (the paper's pivot flow, section III-C).

    sigmas: (N + 1,) float32, ascending from sigmas[0] = 0.
    anchors: (N + 1, B, C, H, W) float32; anchors[i] is x*_i at sigmas[i], anchors[0] the picture itself.
    """

    sigmas: Tensor
    anchors: Tensor

    @property
    def steps(self) -> int:
        """N, the number of steps between the picture and the noise."""
        return len(self.sigmas) - 1


@dataclass(frozen=True)
class Recording(Pivot):
    """A pivot with a model's predictions at its anchors, from which the residual noise follows.

    predictions: (N, B, C, H, W) float32; predictions[i - 1] is eps(x*_i, s_i) for i = 1 .. N.

    Anchors and predictions are kept instead of the residual noise itself: adding a residual to a fresh prediction
    amplifies rounding errors from step to step, stepping relative to the anchors does not (`bimd.bimd_step`).
    """

    predictions: Tensor


def residual_noise(recording: Recording) -> Tensor:
    """Eq. 3: r_i = (x*_i - x*_{i-1}) / (s_i - s_{i-1}) - eps(x*_i, s_i) for i = 1 .. N, (N, B, C, H, W).

    It is what the predictions lack to walk back along the pivot: the noise that the pivot's step adds, less the noise
    that the model would remove.

    Source: the paper's section III-B, eq. 3.
    """
    sigma_steps = recording.sigmas.diff().reshape(-1, *[1] * (recording.anchors.ndim - 1)).to(recording.anchors.device)
    return recording.anchors.diff(dim=0) / sigma_steps - recording.predictions


def empty_record(x: Tensor, length: int, device: torch.device | None) -> Tensor:
    """Room for `length` latents like x, (length, B, C, H, W) float32, on `device` (x's own where None)."""
    return torch.empty((length, *x.shape), dtype=torch.float32, device=x.device if device is None else device)

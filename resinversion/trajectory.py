"""What an inversion records: the pivot, and the predictions along it that the residual noise is made of."""

from dataclasses import dataclass

import torch
from torch import Tensor


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """The ODE derivative dx/dsigma, which is the predicted noise eps, in float32 (k-diffusion's name).

    x, denoised: (B, C, H, W); sigma > 0: a scalar or, one for each row, (B, 1, 1, 1). The same for epsilon-, v- and
    flow-prediction models, since each reaches the sampler as `denoised`.
    """
    return (x.float() - denoised.float()) / sigma


@dataclass(frozen=True)
class Pivot:
    """A trajectory from a picture's latent to noise (the paper's pivot flow, section III-C).

    sigmas: (N + 1,) float32, ascending from sigmas[0] = 0.
    anchors: (N + 1, B, C, H, W) float32; anchors[i] is x*_i at sigmas[i], anchors[0] the picture itself.
    model_kind: names the model that the trajectory belongs to; only that kind can sample along it.
    """

    sigmas: Tensor
    anchors: Tensor
    model_kind: str

    @property
    def steps(self) -> int:
        """N, the number of steps between the picture and the noise."""
        return len(self.sigmas) - 1


@dataclass(frozen=True)
class ResidualNoise(Pivot):
    """A pivot with the model's predictions at its anchors (the paper's residual noise, eq. 3).

    predictions: (N, B, C, H, W) float32; predictions[i - 1] is eps(x*_i, s_i) for i = 1 .. N.

    Anchors and predictions are kept in place of the residual noise itself: adding a residual to a fresh
    prediction amplifies rounding error from step to step, stepping relative to the anchors does not.
    """

    predictions: Tensor

    def residual_noise(self) -> Tensor:
        """r_i of eq. 3 for i = 1 .. N, (N, B, C, H, W): what the predictions lack to walk back along the pivot."""
        sigma_steps = self.sigmas.diff().reshape(-1, *[1] * (self.anchors.ndim - 1)).to(self.anchors.device)
        return self.anchors.diff(dim=0) / sigma_steps - self.predictions


def empty_record(x: Tensor, length: int, device: torch.device | None) -> Tensor:
    """Room for `length` latents like x, (length, B, C, H, W) float32, on `device` (x's own where None)."""
    return torch.empty((length, *x.shape), dtype=torch.float32, device=x.device if device is None else device)

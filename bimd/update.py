"""The paper's eq. 4, BiMD's update, in k-diffusion's coordinates:

    e_i     = eps_pivot + f * (eps_forward - eps_pivot)
    x_{i-1} = x_i + (s_{i-1} - s_i) * (e_i + b * r_i)

with the forward scale f, the backward scale b and eq. 3's residual noise r_i (`resinversion.residual_noise`).
"""

import torch
from torch import Tensor

from ..resinversion import Recording


def blend_flows(pivot: Tensor, forward: Tensor, f: float | Tensor) -> Tensor:
    """Eq. 4's first line: pivot + f * (forward - pivot), (B, C, H, W).

    pivot, forward: noise predictions eps, or denoised estimates: a linear blend of the one is the same blend of the
    other. f: one for all, or one by place, broadcasting to (B, C, H, W).
    """
    blended = pivot + f * (forward - pivot)
    if not isinstance(f, Tensor):
        return blended
    # Rounding would leave a trace of the pivot flow even where the forward flow alone is meant.
    return torch.where(f == 1, forward, blended)


def bimd_step(x: Tensor, eps: Tensor, recording: Recording, i: int, b: float | Tensor = 1.0) -> Tensor:
    """Eq. 4's second line, from x_i to x_{i-1}, with eq. 3 substituted for r_i. Returns (B, C, H, W) float32.

    x: (B, C, H, W) float32, x_i. eps: (B, C, H, W), e_i. i: 1 .. N. b: one for all, or one by place.

    With x* and p the recorded anchors and predictions and ds = s_{i-1} - s_i, the two equations together are

        x_{i-1} = b x*_{i-1} + (x_i - b x*_i) + ds (e_i - b p_i)

    in which nothing is divided. So, at b = 1, x stays exactly on the pivot as long as the model repeats its recorded
    predictions; adding r_i itself would feed each step's rounding error back to the model.
    """
    next_anchor, anchor = recording.anchors[i - 1 : i + 1].to(x.device)
    next_sigma, sigma = recording.sigmas[i - 1 : i + 1].to(x.device)
    prediction = recording.predictions[i - 1].to(x.device)
    offset = (x - b * anchor) + (next_sigma - sigma) * (eps - b * prediction)
    return b * next_anchor + offset

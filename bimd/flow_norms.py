"""How strong each of the three flows is at a step: the sizes of the terms of the paper's eq. 4."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FlowNorms:
    """The root mean squares of the flows' shares in the noise prediction, by step from the noisiest.

    pivot, backward, forward: (N,) float32 each: of eps_pivot, of b * r, of f * (eps_forward - eps_pivot).
    at_anchor: (N,) bool, where the pivot flow was not asked for this step's own latent: in its place stands what was
        recorded at the step's anchor. pivot and forward are then what they are called only while x is on the pivot.
    """

    pivot: Tensor
    backward: Tensor
    forward: Tensor
    at_anchor: Tensor


def flow_shares(
    x: Tensor,
    sigma: Tensor,
    denoised: Tensor,
    pivot_denoised: Tensor | None,
    prediction: Tensor,
    backward: Tensor,
) -> Tensor:
    """The root mean squares of the pivot, backward and forward share in one step, (3,) float32. No model calls.

    x: (B, C, H, W) at sigma, a scalar > 0. denoised: what both flows together made of it.
    pivot_denoised: what the pivot flow alone made of it; None where it was not asked.
    prediction: (B, C, H, W), the pivot flow's recorded eps(x*_i, s_i), which then stands in its place. The forward
        share then also holds what moved with x from the anchor.
    backward: (B, C, H, W), b * r_i.

    Source: the paper's eq. 4, in which the joint prediction less that of the pivot flow is the forward share.
    """
    eps = (x - denoised.float()) / sigma
    eps_pivot = prediction if pivot_denoised is None else (x - pivot_denoised.float()) / sigma
    return torch.stack([share.square().mean().sqrt() for share in (eps_pivot, backward, eps - eps_pivot)])

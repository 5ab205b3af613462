"""How strong each of the three flows is at a step of a sampling: the sizes of the terms of the paper's eq. 4."""

from dataclasses import dataclass, replace

import comfy.model_management
import torch
from torch import Tensor

from ..resinversion import residual_noise, to_d
from .bimd_sampler import BiMDSampler
from .entered import EnteredGuider, SamplerFunction


@dataclass(frozen=True)
class FlowNorms:
    """The root mean squares of the flows' shares in the noise prediction, by step from the noisiest.

    pivot, backward, forward: (N,) float32 each: of eps_pivot, of b * r, of f * (eps_forward - eps_pivot).
    at_anchor: (N,) bool, where the pivot flow was not asked for this step's own latent: in its place stands what was
        recorded at the step's anchor. pivot and forward are then exact only while x is on the pivot.
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
    eps = to_d(x, sigma, denoised)
    eps_pivot = prediction if pivot_denoised is None else to_d(x, sigma, pivot_denoised)
    return torch.stack([share.square().mean().sqrt() for share in (eps_pivot, backward, eps - eps_pivot)])


def flow_watcher(sampler: BiMDSampler) -> SamplerFunction:
    """A BiMDSampler that also keeps each step's denoised estimate and flow norms, for a TripleFlowGuider.

    Its result is (estimates, FlowNorms): estimates (N * B, C, H, W) float32 in the model's space, the noisiest first.
    """

    def run(entered: EnteredGuider) -> tuple[tuple[Tensor, FlowNorms], Tensor]:
        recorded, scales, mask = sampler.residual_noise, sampler.scales(), sampler.mask(entered.noise)
        residuals, places = residual_noise(recorded), 1.0 if mask is None else mask
        estimates, norms, at_anchor = [], [], []

        def on_step(step: int, denoised: Tensor, x: Tensor, total: int) -> None:
            i, pivot_denoised = recorded.steps - step, entered.model.pivot_denoised
            prediction = recorded.predictions[i - 1].to(x.device)
            backward = scales[step] * places * residuals[i - 1].to(x.device)
            norms.append(flow_shares(x, entered.sigmas[step], denoised, pivot_denoised, prediction, backward))
            at_anchor.append(pivot_denoised is None)
            estimates.append(denoised.float().to(comfy.model_management.intermediate_device()))
            entered.callback(step, denoised, x, total)

        samples = replace(entered, callback=on_step).sample(sampler)
        flow_norms = FlowNorms(*torch.stack(norms).cpu().unbind(dim=1), torch.tensor(at_anchor))
        return (torch.cat(estimates), flow_norms), samples

    return SamplerFunction(run)


def explain_rings(at_anchor: torch.Tensor) -> str:
    """What the plot's rings are, in a sentence. at_anchor: (N,) bool, as in FlowNorms."""
    if not at_anchor.any():
        return "The pivot flow was evaluated at every step: all values are exact."
    return (
        f"At {int(at_anchor.sum())} of {len(at_anchor)} steps only the forward flow was evaluated (its scale is 1). "
        "There, eps_pivot is the prediction recorded on the pivot, not that of the step's own latent: the rings are "
        "exact where the forward flow starts, and less so the further the latent leaves the pivot. A forward_scale "
        "such as 0.99 makes all values exact, at one more guider call for each of these steps."
    )

"""DDIM inversion: the probability-flow ODE walked from the picture towards the noise."""

from collections.abc import Callable

import torch
from torch import Tensor

from .trajectory import Pivot, empty_record, to_d

EVALUATE_AT = ("current", "target")


def ddim_inversion(
    model: Callable[..., Tensor],
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict | None = None,
    callback: Callable[[dict], None] | None = None,
    *,
    model_kind: str,
    evaluate_at: str = "current",
    input_scale: Callable[[Tensor], Tensor] | None = None,
    pivot_denoised: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | None = None,
) -> Pivot:
    """Walk a picture's latent up the schedule: x*_{i+1} = x*_i + (s_{i+1} - s_i) * eps(x*_i, s). N model calls.

    model: `model(x, sigma, **extra_args) -> denoised`, sigma of shape (B,).
    x: (B, C, H, W), the latent x*_0 in the model's own space; computed in float32.
    sigmas: (N + 1,), ascending from 0 (the sampler's schedule flipped), N >= 1.
    callback: called after each model call with x, i, sigma (the one evaluated at) and denoised.
    model_kind: kept in the pivot.
    evaluate_at: at which sigma a step from s_i to s_{i+1} asks the model. "current": s_i, as k-diffusion's Euler step
        does, and s_1 where s_0 = 0. "target": s_{i+1}, as prompt-to-prompt and diffusers' DDIMInverseScheduler do.
    input_scale: for "target", the factor c_in(sigma) by which the model scales x to its network's input. Those
        references hand the network the latent of s_i with the timestep of s_{i+1}; so does this with the factor.
        None: the model does not scale its input (flow prediction).
    pivot_denoised: maps the model's denoised to the one that moves the pivot; None moves it by the model's own.
    device: where the pivot is kept; None keeps it where x is.

    Source: Song et al., "Denoising Diffusion Implicit Models", in sigma coordinates; the paper's section III-B, step 1.
    """
    extra_args = {} if extra_args is None else extra_args
    x = x.float()
    sigmas = sigmas.to(x)
    s_in = x.new_ones([x.shape[0]])
    steps = len(sigmas) - 1
    anchors = empty_record(x, steps + 1, device)
    anchors[0] = x
    for i in range(steps):
        sigma, x_in = sigmas[max(i, 1)], x
        if evaluate_at == "target":
            sigma = sigmas[i + 1]
            if input_scale is not None:
                x_in = x * (input_scale(sigmas[i]) / input_scale(sigma))
        denoised = model(x_in, sigma * s_in, **extra_args)
        if callback is not None:
            callback({"x": x_in, "i": i, "sigma": sigma, "denoised": denoised})
        moved_by = denoised if pivot_denoised is None else pivot_denoised(denoised)
        x = x + (sigmas[i + 1] - sigmas[i]) * to_d(x_in, sigma, moved_by)
        anchors[i + 1] = x
    return Pivot(sigmas.to(anchors.device), anchors, model_kind)

"""ResInversion: the pivot together with what a model's predictions along it lack (the paper's eq. 3)."""

from collections.abc import Callable

import torch
from torch import Tensor

from .ddim import ddim_inversion
from .trajectory import Pivot, ResidualNoise, empty_record, to_d


def res_inversion(
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
) -> ResidualNoise:
    """Invert a picture's latent so that sampling along the record gives it back exactly. Arguments: `ddim_inversion`.

    With evaluate_at "current" one pass is enough, N + 1 model calls: the prediction at (x*_i, s_i) drives the pivot
    from i to i + 1 and is what step i's residual noise needs as well. With "target" the pivot is evaluated elsewhere,
    so the predictions take a second pass, 2N calls.

    Source: the paper's section III-B, eq. 3 (there as a pivot followed by a separate pre-diffusion).
    """
    steps = len(sigmas) - 1
    options = {
        "model_kind": model_kind,
        "evaluate_at": evaluate_at,
        "input_scale": input_scale,
        "pivot_denoised": pivot_denoised,
        "device": device,
    }
    if evaluate_at == "target":
        pivot = ddim_inversion(model, x, sigmas, extra_args, callback, **options)
        return record_residual_noise(model, pivot, extra_args, callback, x_device=x.device, first_call=steps)

    predictions = empty_record(x, steps, device)

    def record(call: dict) -> None:
        if call["i"] > 0:
            predictions[call["i"] - 1] = to_d(call["x"], call["sigma"], call["denoised"])
        if callback is not None:
            callback(call)

    pivot = ddim_inversion(model, x, sigmas, extra_args, record, **options)
    x, sigma = pivot.anchors[-1].clone().to(x.device), pivot.sigmas[-1].to(x.device)
    denoised = model(x, sigma * x.new_ones([x.shape[0]]), **({} if extra_args is None else extra_args))
    record({"x": x, "i": steps, "sigma": sigma, "denoised": denoised})
    return ResidualNoise(pivot.sigmas, pivot.anchors, model_kind, predictions)


def record_residual_noise(
    model: Callable[..., Tensor],
    pivot: Pivot,
    extra_args: dict | None = None,
    callback: Callable[[dict], None] | None = None,
    *,
    x_device: torch.device | None = None,
    first_call: int = 0,
    steps_per_call: int = 1,
) -> ResidualNoise:
    """Record a model's predictions along a pivot it did not make itself. ceil(N / steps_per_call) model calls.

    model, extra_args, callback: as in `ddim_inversion`; `i` counts on from `first_call`.
    pivot: any trajectory whose anchors[0] is the picture.
    x_device: where the model takes its input; None: where the pivot is kept.
    steps_per_call: k >= 1, how many steps share a model call. The model, which must treat each row of a batch by
        itself, then gets x of (k * B, C, H, W), step after step from the noisiest down, and sigma of (k * B,); the
        callback gets that x, and the noisiest sigma. The last call takes the steps that are left.

    Source: the paper's section III-B, eq. 3 (its pre-diffusion, along the pivot).
    """
    extra_args = {} if extra_args is None else extra_args
    predictions = empty_record(pivot.anchors[0], pivot.steps, None)
    batch = pivot.anchors.shape[1]
    # From the noisiest down, as sampling goes: conditionings with a schedule of their own count on that order.
    for call, steps in enumerate(torch.arange(pivot.steps, 0, -1).split(steps_per_call), first_call):
        x, sigma = pivot.anchors[steps].flatten(0, 1).to(x_device), pivot.sigmas[steps].to(x_device)
        sigma_rows = sigma.repeat_interleave(batch)
        denoised = model(x, sigma_rows, **extra_args)
        eps = to_d(x, sigma_rows.reshape(-1, *[1] * (x.ndim - 1)), denoised)
        predictions[steps - 1] = eps.unflatten(0, (-1, batch)).to(predictions)
        if callback is not None:
            callback({"x": x, "i": call, "sigma": sigma[0], "denoised": denoised})
    return ResidualNoise(pivot.sigmas, pivot.anchors, pivot.model_kind, predictions)

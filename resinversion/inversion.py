"""The walk from a picture to noise, and the two inversions that are made of it: DDIM inversion and ResInversion."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .recording import Pivot, Recording, empty_record, to_d

EVALUATE_AT = ("current", "target")

# model(x, sigma) -> denoised, with x (B, C, H, W) and sigma (B,), as k-diffusion's samplers call it.
Model = Callable[[Tensor, Tensor], Tensor]
# model(x, sigma) -> (denoised, pivot_denoised): what sampling will follow (guided), and what moves the pivot
# (conditional: a guided pivot runs away; or the same again).
PivotModel = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Scale = Callable[[Tensor], Tensor]


def ddim_walk(
    model: PivotModel, x: Tensor, sigmas: Tensor, evaluate_at: str = "current", input_scale: Scale | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Walk a picture's latent up the schedule: x*_{i+1} = x*_i + (s_{i+1} - s_i) * eps(x*_i, s). N model calls.

    Yields (x*_{i+1}, eps) for i = 0 .. N - 1, eps being the noise that the model's `denoised` predicted on the way.

    x: (B, C, H, W), the latent x*_0 in the model's own space; computed in float32.
    sigmas: (N + 1,), ascending from 0 (the sampler's schedule flipped), N >= 1, on the device of x.
    evaluate_at: at which sigma a step from s_i to s_{i+1} asks the model. "current": s_i, as k-diffusion's Euler step
        does, and s_1 where s_0 = 0. "target": s_{i+1}, as prompt-to-prompt and diffusers' DDIMInverseScheduler do.
    input_scale: for "target", the factor c_in(sigma) by which the model scales x to its network's input. Those
        references hand the network the latent of s_i with the timestep of s_{i+1}; so does this with the factor.
        None: the model does not scale its input (flow prediction).

    Source: Song et al., "Denoising Diffusion Implicit Models", in sigma coordinates; the paper's section III-B, step 1.
    """
    x = x.float()
    sigmas = sigmas.to(x)
    s_in = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        sigma, x_in = sigmas[max(i, 1)], x
        if evaluate_at == "target":
            sigma = sigmas[i + 1]
            if input_scale is not None:
                x_in = x * (input_scale(sigmas[i]) / input_scale(sigma))
        denoised, pivot_denoised = model(x_in, sigma * s_in)
        x = x + (sigmas[i + 1] - sigmas[i]) * to_d(x_in, sigma, pivot_denoised)
        yield x, to_d(x_in, sigma, denoised)


def ddim_inversion(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    evaluate_at: str = "current",
    input_scale: Scale | None = None,
    device: torch.device | None = None,
) -> Pivot:
    """The pivot alone, in N model calls. Arguments: `ddim_walk`. device: where it is kept; None keeps it where x is."""
    anchors = empty_record(x, len(sigmas), device)
    anchors[0] = x
    walk = ddim_walk(lambda x, sigma: (model(x, sigma),) * 2, x, sigmas, evaluate_at, input_scale)
    for i, (anchor, _) in enumerate(walk, start=1):
        anchors[i] = anchor
    return Pivot(sigmas.to(anchors), anchors)


def res_inversion(
    model: PivotModel,
    x: Tensor,
    sigmas: Tensor,
    *,
    evaluate_at: str = "current",
    input_scale: Scale | None = None,
    device: torch.device | None = None,
) -> Recording:
    """Invert a picture's latent so that sampling along the recording gives it back exactly. Arguments: `ddim_walk`.

    With evaluate_at "current" one pass is enough, N + 1 model calls: the prediction at (x*_i, s_i) drives the pivot
    from i to i + 1 and is what step i's residual noise needs as well. With "target" the pivot is evaluated elsewhere,
    so the predictions take a second pass, 2N calls.

    device: where the recording is kept; None keeps it where x is.

    Source: the paper's section III-B, eq. 3 (there as a pivot followed by a separate pre-diffusion).
    """
    if evaluate_at == "target":
        options = {"evaluate_at": "target", "input_scale": input_scale, "device": device}
        pivot = ddim_inversion(lambda x, sigma: model(x, sigma)[1], x, sigmas, **options)
        return record_residual_noise(lambda x, sigma: model(x, sigma)[0], pivot, x_device=x.device)

    steps = len(sigmas) - 1
    anchors, predictions = empty_record(x, steps + 1, device), empty_record(x, steps, device)
    anchors[0] = x
    for i, (anchor, eps) in enumerate(ddim_walk(model, x, sigmas)):
        anchors[i + 1] = anchor
        if i > 0:  # the first step asks at s_1, since s_0 = 0: its prediction is not that of an anchor
            predictions[i - 1] = eps
    sigma = sigmas[-1].to(anchor)
    denoised, _ = model(anchor, sigma * anchor.new_ones([anchor.shape[0]]))
    predictions[-1] = to_d(anchor, sigma, denoised)
    return Recording(sigmas.to(anchors), anchors, predictions)


def record_residual_noise(
    model: Model, pivot: Pivot, *, x_device: torch.device | None = None, steps_per_call: int = 1
) -> Recording:
    """Record a model's predictions along a pivot it did not make itself. ceil(N / steps_per_call) model calls.

    pivot: any trajectory whose anchors[0] is the picture.
    x_device: where the model takes its input; None: where the pivot is kept.
    steps_per_call: k >= 1, how many steps share a model call. The model, which must treat each row of a batch by
        itself, then gets x of (k * B, C, H, W), step after step from the noisiest down, and sigma of (k * B,). The
        last call takes the steps that are left.

    Source: the paper's section III-B, eq. 3 (its pre-diffusion, along the pivot).
    """
    predictions = empty_record(pivot.anchors[0], pivot.steps, None)
    batch = pivot.anchors.shape[1]
    # From the noisiest down, as sampling goes: conditionings with a schedule of their own count on that order.
    for steps in torch.arange(pivot.steps, 0, -1).split(steps_per_call):
        x = pivot.anchors[steps].flatten(0, 1).to(x_device)
        sigma = pivot.sigmas[steps].to(x_device).repeat_interleave(batch)
        eps = to_d(x, sigma.reshape(-1, *[1] * (x.ndim - 1)), model(x, sigma))
        predictions[steps - 1] = eps.unflatten(0, (-1, batch)).to(predictions)
    return Recording(pivot.sigmas, pivot.anchors, predictions)

"""BiMD's sampling: from the noisy end of a recorded pivot back to a picture."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..resinversion import Recording, to_d
from .scales import check_one_per_step
from .update import bimd_step


def sample_bimd(
    model: Callable[[Tensor, Tensor], Tensor],
    recording: Recording,
    callback: Callable[[dict], None] | None = None,
    *,
    backward_scale: float | Sequence[float] = 1.0,
    backward_mask: Tensor | None = None,
    denoise_mask: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Sample from the pivot's noisy end back to a picture, with the residual noise as backward flow. N model calls.

    model: `model(x, sigma) -> denoised`, sigma of shape (B,); a `BlendedFlows` for all three flows.
    recording: what `res_inversion` recorded, kept on any device.
    callback: called at each step with x, i, sigma and denoised, as k-diffusion's samplers do.
    backward_scale: b of eq. 4, one for all steps or N of them, noisiest step first. 1 gives the picture back where the
        model agrees with the recorded predictions; 0 is plain Euler.
    backward_mask: broadcasts to (B, C, H, W), on `device`: b is multiplied by it, place by place. None is 1.
    denoise_mask: gives each step, from its sigma (B,), a mask that broadcasts to (B, C, H, W), 0 .. 1; 0 holds a place
        on the pivot. None is 1 everywhere.
    device: where the model runs; None: where the recording is kept.
    Returns x_0, (B, C, H, W) float32. Raises ValueError for another number of backward scales.

    Source: the paper's eq. 4; b by step and place is this pack's.
    """
    steps = recording.steps
    backward_scales = backward_scale if isinstance(backward_scale, Sequence) else [backward_scale] * steps
    check_one_per_step("backward_scale", backward_scales, steps)
    x = recording.anchors[steps].clone().to(device)  # never the record itself, which a model might write into
    sigmas, s_in = recording.sigmas.to(x.device), x.new_ones([x.shape[0]])
    for k, i in enumerate(range(steps, 0, -1)):
        denoised = model(x, sigmas[i] * s_in)
        if callback is not None:
            callback({"x": x, "i": k, "sigma": sigmas[i], "denoised": denoised})
        b = backward_scales[k] if backward_mask is None else backward_scales[k] * backward_mask
        x = bimd_step(x, to_d(x, sigmas[i], denoised), recording, i, b)
        if denoise_mask is not None:
            anchor = recording.anchors[i - 1].to(x.device)
            x = anchor + denoise_mask(sigmas[i] * s_in) * (x - anchor)
    return x

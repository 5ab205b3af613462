"""BiMD's update: an Euler step with the backward flow, taken relative to the recorded pivot."""

from collections.abc import Callable, Sequence

from torch import Tensor

from .scales import check_one_a_step


def sample_bimd(
    model: Callable[..., Tensor],
    anchors: Tensor,
    predictions: Tensor,
    sigmas: Tensor,
    extra_args: dict | None = None,
    callback: Callable[[dict], None] | None = None,
    *,
    backward_scale: float | Sequence[float] = 1.0,
    backward_mask: Tensor | None = None,
    denoise_mask: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Sample from the pivot's noisy end back to a picture, with the residual noise as backward flow. N model calls.

    model: `model(x, sigma, **extra_args) -> denoised`, sigma of shape (B,); a `TripleFlow` for all three flows.
    anchors: (N + 1, B, C, H, W), x*_0 (the picture) .. x*_N (where sampling starts), kept on any device.
    predictions: (N, B, C, H, W), eps(x*_i, s_i) of the pivot flow for i = 1 .. N, on the same device as anchors.
    sigmas: (N + 1,), descending to 0, on the device that the model runs on.
    callback: called at each step with x, i, sigma and denoised, as k-diffusion's samplers do.
    backward_scale: b of eq. 4, one for all steps or N of them, noisiest step first. 1 gives the picture back where the
        model agrees with `predictions`; 0 is plain Euler.
    backward_mask: broadcasts to (B, C, H, W), on the sigmas' device: b is multiplied by it, place by place. None is 1.
    denoise_mask: gives each step, from its sigma (B,), a mask that broadcasts to (B, C, H, W), 0 .. 1; 0 holds a place
        on the pivot. None is 1 everywhere.
    Returns x_0, (B, C, H, W) float32. Raises ValueError for another number of backward scales.

    With e_i the model's noise prediction, p_i the recorded one and ds = s_{i-1} - s_i, eq. 3 and 4 together read

        x_{i-1} = b x*_{i-1} + (x_i - b x*_i) + ds (e_i - b p_i)

    in which nothing is divided and a run that stays on the pivot stays there to the last bit. It holds for each place
    and step by itself, so b may differ between them.

    Source: the paper's eq. 4; b by step and place is this pack's.
    """
    extra_args = {} if extra_args is None else extra_args
    steps = len(sigmas) - 1
    backward_scales = backward_scale if isinstance(backward_scale, Sequence) else [backward_scale] * steps
    check_one_a_step("backward_scale", backward_scales, steps)
    x = anchors[steps].clone().to(sigmas.device)  # never the record itself, which a model might write into
    s_in = x.new_ones([x.shape[0]])
    for k in range(steps):
        i = steps - k
        anchor, next_anchor, prediction = (t.to(x.device) for t in (anchors[i], anchors[i - 1], predictions[i - 1]))
        sigma, next_sigma = sigmas[k], sigmas[k + 1]
        denoised = model(x, sigma * s_in, **extra_args)
        if callback is not None:
            callback({"x": x, "i": k, "sigma": sigma, "denoised": denoised})
        eps = (x - denoised.float()) / sigma
        b = backward_scales[k] if backward_mask is None else backward_scales[k] * backward_mask
        offset = (x - b * anchor) + (next_sigma - sigma) * (eps - b * prediction)
        x = b * next_anchor + offset
        if denoise_mask is not None:
            x = next_anchor + denoise_mask(sigma * s_in) * (x - next_anchor)
    return x

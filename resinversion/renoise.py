"""ReNoise: DDIM inversion whose every step is refined by asking the model again where the step arrived."""

from collections.abc import Callable

import torch
from torch import Tensor

from .trajectory import Pivot, empty_record, to_d


def renoise_inversion(
    model: Callable[..., Tensor],
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict | None = None,
    callback: Callable[[dict], None] | None = None,
    *,
    model_kind: str,
    iterations: int = 1,
    average: int = 1,
    input_scale: Callable[[Tensor], Tensor] | None = None,
    pivot_denoised: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | None = None,
) -> Pivot:
    """Walk a picture's latent up the schedule in steps that Euler's walk back undoes. (iterations + 1) * N model calls.

    The step down from x*_{i+1} moves by eps(x*_{i+1}, s_{i+1}), which DDIM inversion has to guess at x*_i. Here that
    guess is the first of a row of estimates of x*_{i+1}, each made with the eps of the one before:

        x^0 = x*_i,   x^k = x*_i + (s_{i+1} - s_i) * eps(x^{k-1}, s_{i+1}),   k = 1 .. iterations + 1

    Where the row converges, the step back from x*_{i+1} meets x*_i.

    model, x, sigmas, extra_args, model_kind, input_scale, pivot_denoised, device: as in `ddim_inversion`, which at
        "target" this is for iterations = 0.
    callback: as there, with `i` counting the model calls.
    iterations: K >= 0, the renoising iterations of each step.
    average: x*_{i+1} is the mean of the last so many estimates, 1 .. iterations + 1; it steadies a row that circles.

    Source: Garibi et al., "ReNoise: Real Image Inversion Through Iterative Noising", algorithm 1, without its optional
    regularisation of the noise.
    """
    extra_args = {} if extra_args is None else extra_args
    x = x.float()
    sigmas = sigmas.to(x)
    s_in = x.new_ones([x.shape[0]])
    steps = len(sigmas) - 1
    anchors = empty_record(x, steps + 1, device)
    anchors[0] = x
    for i in range(steps):
        sigma, x_in = sigmas[i + 1], x
        if input_scale is not None:
            x_in = x * (input_scale(sigmas[i]) / input_scale(sigma))
        estimates = []
        for k in range(iterations + 1):
            denoised = model(x_in, sigma * s_in, **extra_args)
            if callback is not None:
                callback({"x": x_in, "i": i * (iterations + 1) + k, "sigma": sigma, "denoised": denoised})
            moved_by = denoised if pivot_denoised is None else pivot_denoised(denoised)
            x_in = x + (sigma - sigmas[i]) * to_d(x_in, sigma, moved_by)
            estimates.append(x_in)
        x = torch.stack(estimates[-average:]).mean(dim=0)
        anchors[i + 1] = x
    return Pivot(sigmas.to(anchors.device), anchors, model_kind)

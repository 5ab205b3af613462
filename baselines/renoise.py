"""ReNoise: DDIM inversion whose every step is refined by asking the model again where the step arrived."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..resinversion import Pivot, empty_record, to_d
from .noise_pivot import add_noise, noise_pivot
from .noise_regularisation import check_can_regularise, regularised


def renoise_inversion(
    model: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Tensor,
    *,
    iterations: int = 1,
    average: int = 1,
    regularisation_steps: int = 0,
    seed: int = 0,
    noise_scaling: Callable[[Tensor, Tensor, Tensor], Tensor] = add_noise,
    input_scale: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | None = None,
) -> Pivot:
    """Walk a picture's latent up the schedule in steps that Euler's walk back undoes. (iterations + 1) * N model calls.

    With regularisation_steps it is one more call per step.

    The step down from x*_{i+1} moves by eps(x*_{i+1}, s_{i+1}), which DDIM inversion has to guess at x*_i. Here that
    guess is the first of a sequence of estimates of x*_{i+1}, each made with the eps of the one before:

        x^0 = x*_i,   x^k = x*_i + (s_{i+1} - s_i) * eps(x^{k-1}, s_{i+1}),   k = 1 .. iterations + 1

    Where the sequence converges, the step back from x*_{i+1} meets x*_i.

    model, x, sigmas, input_scale, device: as in `ddim_inversion`; with iterations = 0 this is that at "target".
    iterations: K >= 0, the renoising iterations of each step.
    average: x*_{i+1} is the mean of the last so many estimates, 1 .. iterations + 1; it damps oscillation.
    regularisation_steps: of `regularised`, by which the eps of each estimate after the first comes nearer to what the
        model predicts for the picture under random noise at s_{i+1}. Meant for editing; the way back may be less
        exact. 0: off. It needs latents (B, C, H, W) or (B, C, T, H, W).
    seed: of that random noise, 0 .. 2^64 - 1. Global random state is not touched.
    noise_scaling: as in `noise_pivot`, by which the picture is noised.
    Raises ValueError where x cannot be regularised.

    Source: Garibi et al., "ReNoise: Real Image Inversion Through Iterative Noising", algorithm 1.
    """
    if regularisation_steps:
        check_can_regularise("x", x)
    x = x.float()
    sigmas = sigmas.to(x)
    s_in = x.new_ones([x.shape[0]])
    steps = len(sigmas) - 1
    anchors = empty_record(x, steps + 1, device)
    anchors[0] = x

    def predicted_noise(x: Tensor, sigma: Tensor) -> Tensor:
        return to_d(x, sigma, model(x, sigma * s_in))

    if regularisation_steps:
        noised = noise_pivot(x, sigmas, seed, noise_scaling=noise_scaling, device=device).anchors
        shifts = torch.Generator().manual_seed(seed)
    for i in range(steps):
        sigma, x_in = sigmas[i + 1], x
        if input_scale is not None:
            x_in = x * (input_scale(sigmas[i]) / input_scale(sigma))
        if regularisation_steps:
            reference = predicted_noise(noised[i + 1].to(x.device), sigma)
        estimates = []
        for k in range(iterations + 1):
            eps = predicted_noise(x_in, sigma)
            if regularisation_steps and k > 0:
                eps = regularised(eps, reference, regularisation_steps, shifts)
            x_in = x + (sigma - sigmas[i]) * eps
            estimates.append(x_in)
        x = torch.stack(estimates[-average:]).mean(dim=0)
        anchors[i + 1] = x
    return Pivot(sigmas.to(anchors.device), anchors)

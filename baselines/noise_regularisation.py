"""ReNoise's regularisation: predicted noise moved towards the statistics of noise that a model predicts elsewhere."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# The released code's numbers.
KL_WEIGHT = 0.065
CORRELATION_WEIGHT = 20.0
SHIFTS = 5
PATCH = 4
SMALLEST_SIZE = 8  # of the coarsest level at which places are compared


def patch_kl(eps: Tensor, reference: Tensor) -> Tensor:
    """Twice the KL divergence of eps's patches from the reference's, each channel of a patch as a Gaussian; the sum.

    eps, reference: (B, C, H, W), H and W at least 4; patches are 4 x 4, and what is left over at the edges is not
    compared. 0 where mean and variance of each patch are the reference's.
    """
    (mean, variance), (to_mean, to_variance) = map(_patch_statistics, (eps, reference))
    return ((to_variance / variance).log() + (variance + (mean - to_mean) ** 2) / to_variance - 1).sum()


def _patch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    patches = x.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).flatten(-2)
    return patches.mean(dim=-1), patches.var(dim=-1) + 1e-6


def correlation(eps: Tensor, random_number: Callable[[int], int]) -> Tensor:
    """The squared correlation of places that are a random shift apart, along H and W, at all levels of detail; the sum.

    eps: (B, C, H, W). random_number: from n, one of 0 .. n - 1. Each level is half as fine as the one before, down to
    8 places a side. White noise has 0 but for chance.
    """
    total = eps.new_zeros(())
    while True:
        size = min(eps.shape[2:])
        shift = 1 + random_number(max(size // 2, 1))
        for dim in (2, 3):
            total = total + (eps * eps.roll(shift, dim)).mean(dim=(2, 3)).square().sum()
        if size <= SMALLEST_SIZE:
            return total
        eps = F.avg_pool2d(eps, 2)


def check_can_regularise(name: str, x: Tensor) -> None:
    """Raise ValueError, naming the input, unless `regularised` can work on noise of x's shape, (B, C, ..., H, W)."""
    if x.dim() < 4 or min(x.shape[-2:]) < PATCH:
        raise ValueError(
            f"{name}: its shape {tuple(x.shape)} is smaller than the {PATCH} x {PATCH} patches that regularisation "
            "compares. Set regularisation_steps to 0, or use a larger picture."
        )


def regularised(eps: Tensor, reference: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """eps after so many steps of gradient descent on `patch_kl` and `correlation`. No model calls.

    eps, reference: (B, C, H, W) or (B, C, T, H, W), predicted noise; computed in float32, independently for each
        picture of the batch and each of its frames. H and W at least 4, see `check_can_regularise`.
    steps: 0 leaves eps as it is; the original takes 4.
    generator: on the CPU; of the shifts at which places are compared, which all pictures of a batch share.

    May be called in inference mode. The gradient is that of the two sums alone.

    Source: Garibi et al., "ReNoise: Real Image Inversion Through Iterative Noising", section "Editability", and its
    code for the numbers; there a shift may be 0, which is no comparison of two places and is left out here.
    """

    def random_number(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    with torch.inference_mode(False), torch.enable_grad():
        shape = eps.shape
        # Both sums take each channel by itself, so that frames may stand beside the channels.
        eps, reference = (x.detach().float().clone().flatten(1, -3) for x in (eps, reference))
        for _ in range(steps):
            eps = eps - KL_WEIGHT * _gradient(patch_kl, eps, reference).clamp(-100, 100)
            for _ in range(SHIFTS):
                eps = eps - CORRELATION_WEIGHT / SHIFTS * _gradient(correlation, eps, random_number)
    return eps.reshape(shape)


def _gradient(loss: Callable[..., Tensor], eps: Tensor, *args) -> Tensor:
    leaf = eps.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf, *args), leaf)[0]

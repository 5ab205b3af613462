"""The forward flow joined to the pivot flow, by a schedule of scales (the paper's eq. 4 and its starting step)."""

from collections.abc import Callable

from torch import Tensor


def forward_scales(steps: int, start_step: int, forward_scale: float) -> list[float]:
    """The forward flow's scale at each step, counted from the noisiest: 0 before start_step, forward_scale from it on.

    steps: N >= 1. start_step: the paper's manipulation starting step (MSS), >= 0; at N or beyond the flow never acts.
    """
    return [forward_scale if k >= start_step else 0.0 for k in range(steps)]


class TripleFlow:
    """A model of two flows: eps = eps_pivot + f * (eps_forward - eps_pivot), with step k's forward scale f.

    A linear blend of noise predictions is the same blend of denoised ones, so this is a `model(x, sigma) -> denoised`
    for any sampler; `sample_bimd` adds the third, backward flow. A flow whose weight is zero is not evaluated:
    f = 0 asks the pivot flow alone, f = 1 the forward flow alone, any other f both, the one that was asked last first:
    to change over may cost (two flows in one model, each with weights of its own).

    pivot_model, forward_model: `model(x, sigma, **extra_args) -> denoised`, all of the same shape (B, C, H, W).
    sigmas: (N + 1,), descending. scales: N forward scales, noisiest step first.

    Source: the paper's eq. 4.
    """

    def __init__(self, pivot_model: Callable, forward_model: Callable, sigmas: Tensor, scales: list[float]):
        self.pivot_model = pivot_model
        self.forward_model = forward_model
        self.sigmas = sigmas.tolist()
        self.scales = scales
        self._forward_was_last = False

    def step(self, sigma: float) -> int:
        """The step that covers sigma: k where sigmas[k + 1] < sigma <= sigmas[k], to a relative 1e-5."""
        reached = sum(step_sigma >= sigma * (1 - 1e-5) for step_sigma in self.sigmas[:-1])
        return max(reached - 1, 0)

    def scale_at(self, sigma: Tensor) -> float:
        """The forward scale at sigma (B,), one and the same for the whole batch."""
        return self.scales[self.step(sigma[0].item())]

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args) -> Tensor:
        """Denoised (B, C, H, W) of x (B, C, H, W) at sigma (B,), one and the same for the whole batch."""
        scale = self.scale_at(sigma)
        if scale == 0:
            self._forward_was_last = False
            return self.pivot_model(x, sigma, **extra_args)
        if scale == 1:
            self._forward_was_last = True
            return self.forward_model(x, sigma, **extra_args)
        if self._forward_was_last:
            forward = self.forward_model(x, sigma, **extra_args)
            pivot = self.pivot_model(x, sigma, **extra_args)
        else:
            pivot = self.pivot_model(x, sigma, **extra_args)
            forward = self.forward_model(x, sigma, **extra_args)
        self._forward_was_last = not self._forward_was_last
        return pivot + scale * (forward - pivot)

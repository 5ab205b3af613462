"""The pivot flow and the forward flow as one model, by a schedule of scales and a mask."""

from collections.abc import Callable

from torch import Tensor

from .scales import check_one_per_step
from .update import blend_flows


class BlendedFlows:
    """A model of two flows, `model(x, sigma) -> denoised` for any sampler: eq. 4's blend with step k's forward scale.

    `sample_bimd` adds the third, backward flow. A flow whose weight is zero is not evaluated: f = 0 asks the pivot flow
    alone, f = 1 the forward flow alone, any other f both, starting with the one asked most recently: switching may be
    costly (two flows in one model, each with weights of its own).

    pivot_model, forward_model: `model(x, sigma, **extra_args) -> denoised`, all of the same shape (B, C, H, W).
    sigmas: (N + 1,), descending. scales: N forward scales f, noisiest step first.
    mask: broadcasts to (B, C, H, W), on the device that the models run on: f is multiplied by it, place by place. Both
        flows are asked wherever f is not 0, and where the product is 0 or 1 the one flow's answer is kept to the bit.
        None, or 1 everywhere, is no mask.
    Raises ValueError for another number of scales.

    Source: the paper's eq. 4; the mask is this pack's.
    """

    def __init__(
        self,
        pivot_model: Callable,
        forward_model: Callable,
        sigmas: Tensor,
        scales: list[float],
        mask: Tensor | None = None,
    ):
        self.pivot_model = pivot_model
        self.forward_model = forward_model
        self.sigmas = sigmas.tolist()
        self.scales = scales
        check_one_per_step("scales", scales, len(self.sigmas) - 1)
        self.mask = None if mask is None or bool((mask == 1).all()) else mask
        self._forward_was_last = False

    def scale_at(self, sigma: Tensor) -> float:
        """The forward scale at sigma (B,), one and the same for the whole batch, before the mask.

        It is that of the step that covers sigma: k where sigmas[k + 1] < sigma <= sigmas[k], to a relative 1e-5.
        """
        reached = sum(step_sigma >= sigma[0].item() * (1 - 1e-5) for step_sigma in self.sigmas[:-1])
        return self.scales[max(reached - 1, 0)]

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args) -> Tensor:
        """Denoised (B, C, H, W) of x (B, C, H, W) at sigma (B,), one and the same for the whole batch."""
        scale = self.scale_at(sigma)
        if scale == 0:
            self._forward_was_last = False
            return self.pivot_model(x, sigma, **extra_args)
        if scale == 1 and self.mask is None:
            self._forward_was_last = True
            return self.forward_model(x, sigma, **extra_args)
        order = -1 if self._forward_was_last else 1
        answers = [flow(x, sigma, **extra_args) for flow in (self.pivot_model, self.forward_model)[::order]]
        pivot, forward = answers[::order]
        self._forward_was_last = not self._forward_was_last
        return blend_flows(pivot, forward, scale if self.mask is None else scale * self.mask)

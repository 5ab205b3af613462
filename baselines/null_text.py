"""Null-text inversion: a text for "no prompt" at each step, optimised until guided sampling keeps to the pivot."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..resinversion import Pivot, ddim_inversion, empty_record, to_d
from .normal_tensors import NormalTensors


class NonFiniteError(ValueError):
    """The loss, or its gradient, is NaN or Inf."""


@dataclass(frozen=True)
class NullText(Pivot):
    """A pivot with the text that leads guided sampling back along it.

    texts: the parts of the null text, (N, B, ...) float32 each; part[i - 1] is that of the step from s_i to s_{i-1}.
    losses: those of the inner steps that were taken, by step; losses[i - 1] is step i's.
    reconstruction: (B, C, H, W) float32, where the guided steps with these texts arrive.
    """

    texts: tuple[Tensor, ...]
    losses: tuple[tuple[float, ...], ...]
    reconstruction: Tensor

    @property
    def inner_steps(self) -> int:
        """How many inner steps were taken, which is the number of backward passes."""
        return sum(map(len, self.losses))

    @property
    def calls(self) -> int:
        """Number of calls of `conditional` and `guided`, including the pivot's: one forward pass each."""
        return 3 * self.steps + self.inner_steps

    def text_at(self, sigma: float) -> list[Tensor]:
        """The null text, (B, ...) a part, of the step that covers sigma: s_{i-1} < sigma <= s_i to a relative 1e-5."""
        i = int(torch.searchsorted(self.sigmas, sigma * (1 - 1e-5)))
        return [part[min(max(i, 1), self.steps) - 1] for part in self.texts]


def null_text_inversion(
    conditional: Callable[[Tensor, Tensor], Tensor],
    guided: Callable[[Tensor, Tensor, Tensor, Sequence[Tensor]], Tensor],
    x: Tensor,
    sigmas: Tensor,
    null_text: Sequence[Tensor],
    callback: Callable[[dict], None] | None = None,
    *,
    inner_steps: int = 10,
    learning_rate: float = 1e-2,
    early_stop: float = 1e-5,
    input_scale: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | None = None,
) -> NullText:
    """Invert unguided, then optimise the null text of each step. At most (3 + inner_steps) * N calls.

    conditional: `model(x, sigma) -> denoised` of the prompt alone, sigma of shape (B,).
    guided: `model(x, sigma, cond_denoised, null_text) -> denoised`, the guided prediction from
        cond_denoised and the null text's prediction; differentiable in null_text.
    x, sigmas, device: as in `ddim_inversion`. The pivot is that of `conditional`, evaluated at the target sigma.
    null_text: the parts that are optimised, (B, ...) each: SDXL's embedding (B, 77, 2048), and its pooled text where
        that is to change as well. Optimised in float32.
    callback: called after each inner step with x, i, sigma and denoised, i being the sampling step counted from the
        noisiest. It may raise, to interrupt.
    inner_steps: at most so many per step; 0 leaves the null text as it is.
    learning_rate: of a fresh Adam at each step, times 1 - k / 100 at step k from the noisiest.
    early_stop: a step's inner steps end after a loss below early_stop + k * 2e-5, for every picture of the batch.
    input_scale: c_in(sigma), as in `ddim_inversion`; the loss compares pictures as the network sees them, which for
        the original is z = x / sqrt(1 + sigma^2).
    Raises NonFiniteError where the loss or its gradient is NaN or Inf.

    May be called in inference mode, with weights that are inference tensors. However it ends, that mode is as before
    and no tensor that came in has got a gradient.

    Source: Mokady et al., "Null-text Inversion for Editing Real Images using Guided Diffusion Models", algorithm 1,
    and its code for the numbers.
    """
    pivot = ddim_inversion(conditional, x, sigmas, evaluate_at="target", input_scale=input_scale, device=device)
    steps = pivot.steps
    x = pivot.anchors[-1].clone().to(x.device)
    sigmas, s_in = sigmas.to(x), x.new_ones([x.shape[0]])
    null_text = [part.float() for part in null_text]
    texts = [empty_record(part, steps, pivot.anchors.device) for part in null_text]
    losses = [()] * steps
    for k, i in enumerate(range(steps, 0, -1)):
        sigma, next_sigma = sigmas[i], sigmas[i - 1]
        cond_denoised = conditional(x, sigma * s_in)
        denoise = partial(guided, x, sigma * s_in, cond_denoised)
        step = partial(_euler_step, x, sigma, next_sigma)
        null_text, losses[i - 1] = _optimise(
            null_text,
            denoise,
            step,
            target=pivot.anchors[i - 1].to(x.device),
            scale=1.0 if input_scale is None else input_scale(next_sigma),
            on_inner_step=partial(_report, callback, x=x, i=k, sigma=sigma),
            inner_steps=inner_steps,
            learning_rate=learning_rate * max(1 - k / 100, 1 / 100),
            early_stop=early_stop + k * 2e-5,
        )
        for part, record in zip(null_text, texts, strict=True):
            record[i - 1] = part
        x = step(denoise(null_text))
    return NullText(pivot.sigmas, pivot.anchors, tuple(texts), tuple(losses), x)


def _euler_step(x: Tensor, sigma: Tensor, next_sigma: Tensor, denoised: Tensor) -> Tensor:
    return x + (next_sigma - sigma) * to_d(x, sigma, denoised)


def _report(callback, denoised: Tensor, *, x: Tensor, i: int, sigma: Tensor) -> None:
    if callback is not None:
        callback({"x": x, "i": i, "sigma": sigma, "denoised": denoised})


def _optimise(null_text, denoise, step, *, target, scale, on_inner_step, inner_steps, learning_rate, early_stop):
    """One step's null text, and the losses on the way to it.

    denoise: null text -> denoised. step: denoised -> the latent after the step, which is to meet `target`.
    scale: of latents in the loss. on_inner_step: called with the denoised of each inner step.
    """
    losses = []
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [part.detach().clone().requires_grad_() for part in null_text]
        optimiser = torch.optim.Adam(leaves, lr=learning_rate)
        for _ in range(inner_steps):
            with NormalTensors():
                denoised = denoise(leaves)
                errors = ((step(denoised) - target) * scale).square().flatten(1)
                # Half precision has no number as small as the gradient of a mean over a picture: that of the sum goes
                # through the network, and is divided where it has arrived.
                total = errors.sum()
            gradients = torch.autograd.grad(total, leaves)
            losses.append(errors.mean(dim=1).max().item())
            _check_finite(losses[-1], gradients)
            for leaf, gradient in zip(leaves, gradients, strict=True):
                leaf.grad = gradient / errors.shape[1]
            optimiser.step()
            on_inner_step(denoised.detach())
            if losses[-1] < early_stop:
                break
    return [leaf.detach() for leaf in leaves], tuple(losses)


def _check_finite(loss: float, gradients: Sequence[Tensor]) -> None:
    if not (math.isfinite(loss) and all(torch.isfinite(gradient).all() for gradient in gradients)):
        raise NonFiniteError("the loss, or its gradient, is NaN or Inf")

"""How near a guider comes to an inverted picture when it samples back: errors by step, guider calls and seconds."""

import time
from dataclasses import dataclass, replace

import latent_preview
import torch
from torch import Tensor

from .bimd_sampler import BiMDSampler
from .checks import check_model_kind
from .entered import EnteredGuider, SamplerFunction, sample_from
from .recordings import ModelRecording
from .sampling_errors import check_finite
from .wiring import check_wiring


@dataclass(frozen=True)
class Walk:
    """What one sampling along a recording came to.

    errors: (N + 1,), the largest |x_i - x*_i| of a batch after 0 .. N steps, in the model's latent units.
    calls: of the guider. seconds: in the sampler, so without the loading of the model.
    """

    errors: Tensor
    calls: int
    seconds: float


def measured_sampler(residual_noise: ModelRecording, backward_scale: float) -> SamplerFunction:
    """A BiMDSampler, of the same arguments, whose result is a Walk of its sampling."""

    def run(entered: EnteredGuider) -> tuple[Walk, Tensor]:
        anchors, errors, calls = residual_noise.anchors, [], []

        def measure(x: Tensor) -> None:
            anchor = anchors[len(anchors) - 1 - len(errors)]
            errors.append((x - anchor.to(x.device)).abs().max())

        def on_step(step: int, denoised: Tensor, x: Tensor, total: int) -> None:
            measure(x)  # where the step starts: after as many steps as `step` says
            entered.callback(step, denoised, x, total)

        watched = replace(entered.watched(lambda x, sigma, denoised: calls.append(sigma)), callback=on_step)
        start = time.perf_counter()
        samples = watched.sample(BiMDSampler(residual_noise, backward_scale))
        measure(samples)
        kept = torch.stack(errors).cpu()  # waits for the device, as the clock must
        return Walk(kept, len(calls), time.perf_counter() - start), samples

    return SamplerFunction(run)


def walk_back(guider, residual_noise, backward_scales) -> tuple[list[Walk], Tensor]:
    """Sample along a recording once for each backward scale, in one progress bar.

    Returns the walks, and the first one's picture, (B, C, H, W) in the host's latent space. Raises ValueError where
    the recording is of another kind of model, a control module does not suit it, or the model predicts NaN or Inf.
    """
    check_model_kind(residual_noise.model_kind, guider.model_patcher, "residual_noise")
    check_wiring(guider, "guider")
    picture = guider.model_patcher.model.process_latent_out(residual_noise.anchors[0])
    total = len(backward_scales) * residual_noise.steps
    show = latent_preview.prepare_callback(guider.model_patcher, total)
    walks, pictures = [], []
    for n, backward_scale in enumerate(backward_scales):

        def callback(step: int, denoised: Tensor, x: Tensor, steps: int, first=n * residual_noise.steps) -> None:
            show(first + step, denoised, x, total)

        sampler = measured_sampler(residual_noise, backward_scale)
        pictures.append(sample_from(guider, picture, sampler, residual_noise.sigmas.flip(0).cpu(), callback))
        check_finite(sampler.result.errors)
        walks.append(sampler.result)
    return walks, pictures[0]


def summary(name: str, walk: Walk) -> str:
    """One walk in a line."""
    most = int(walk.errors.argmax())
    return (
        f"{name}: largest error {walk.errors[-1]:.3g} at the end, {walk.errors[most]:.3g} on the way (after step "
        f"{most}); {walk.calls} guider calls in {walk.seconds:.3g} s."
    )


def table(sigmas: Tensor, columns: dict[str, Tensor]) -> str:
    """The numbers after each step, a line each. sigmas: (N + 1,), descending; a column may end early."""
    lines = ["; ".join(["step", "sigma", *columns])]
    for step, sigma in enumerate(sigmas):
        cells = [f"{column[step]:.3g}" if step < len(column) else "" for column in columns.values()]
        lines.append("; ".join([str(step), f"{sigma:.4g}", *cells]))
    return "\n".join(lines)

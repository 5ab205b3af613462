"""The inversion report: how near a guider comes to an inverted picture, step by step, and what that costs."""

import time
from dataclasses import dataclass

import comfy.model_management
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..drawing.plots import as_image, draw_steps
from .bimd import BiMDSampler
from .checks import check_model_kind, check_recording
from .control_family import check_control_family
from .inversion import CATEGORY
from .sockets import ResidualNoise


class CountedModel:
    """An entered guider as samplers know it, whose calls are counted in `calls`."""

    def __init__(self, model_wrap):
        self._model_wrap = model_wrap
        self.calls = 0

    def __getattr__(self, name):
        return getattr(self._model_wrap, name)

    def __call__(self, *args, **kwargs):
        """Denoised (B, C, H, W), as the guider gives it."""
        self.calls += 1
        return self._model_wrap(*args, **kwargs)


@dataclass(frozen=True)
class Walk:
    """What one sampling along a recording came to.

    errors: (N + 1,), the largest |x_i - x*_i| of a batch after 0 .. N steps, in the model's latent units.
    calls: of the guider. seconds: in the sampler, so without the loading of the model.
    """

    errors: Tensor
    calls: int
    seconds: float


class MeasuredSampler(comfy.samplers.Sampler):
    """A BiMDSampler that keeps a Walk of its sampling, in `walk`. Arguments: those of BiMDSampler."""

    def __init__(self, residual_noise, backward_scale: float):
        self.residual_noise = residual_noise
        self.backward_scale = backward_scale
        self.walk = None

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *rest, **options):
        """Sample (B, C, H, W) as BiMDSampler does."""
        model, anchors, errors = CountedModel(model_wrap), self.residual_noise.anchors, []

        def measure(x: Tensor) -> None:
            anchor = anchors[len(anchors) - 1 - len(errors)]
            errors.append((x - anchor.to(x.device)).abs().max())

        def on_step(step: int, denoised: Tensor, x: Tensor, total: int) -> None:
            measure(x)  # where the step starts: after as many steps as `step` says
            callback(step, denoised, x, total)

        start = time.perf_counter()
        bimd = BiMDSampler(self.residual_noise, self.backward_scale)
        samples = bimd.sample(model, sigmas, extra_args, on_step, noise, *rest, **options)
        measure(samples)
        kept = torch.stack(errors).cpu()  # waits for the device, as the clock must
        self.walk = Walk(kept, model.calls, time.perf_counter() - start)
        return samples


def walk_back(guider, residual_noise, backward_scales) -> tuple[list[Walk], Tensor]:
    """Sample along a recording once for each backward scale, in one progress bar.

    Returns the walks, and the first one's picture, (B, C, H, W) in the host's latent space. Raises ValueError where
    the recording is of another kind of model, a control module does not suit it, or the model predicts NaN or Inf.
    """
    check_model_kind(residual_noise.model_kind, guider.model_patcher, "residual_noise")
    check_control_family(guider, "guider")
    picture = guider.model_patcher.model.process_latent_out(residual_noise.anchors[0])
    total = len(backward_scales) * residual_noise.steps
    show = latent_preview.prepare_callback(guider.model_patcher, total)
    walks, pictures = [], []
    for n, backward_scale in enumerate(backward_scales):

        def callback(step: int, denoised: Tensor, x: Tensor, steps: int, first=n * residual_noise.steps) -> None:
            show(first + step, denoised, x, total)

        sampler = MeasuredSampler(residual_noise, backward_scale)
        samples = guider.sample(
            torch.zeros_like(picture),
            picture,
            sampler,
            residual_noise.sigmas.flip(0).cpu(),
            callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=0,
        )
        check_recording(sampler.walk.errors)
        walks.append(sampler.walk)
        pictures.append(samples)
    return walks, pictures[0].to(comfy.model_management.intermediate_device())


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


class InversionReport(io.ComfyNode):
    """`walk_back` as a node that shows what it measured."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_InversionReport",
            display_name="Inversion Report",
            category=CATEGORY,
            description="Samples an inverted picture back and shows how far from the picture it ends and how far from "
            "the pivot each step is, with the guider calls and seconds of sampling back, not of the inversion.",
            inputs=[
                ResidualNoise.Input("residual_noise", tooltip="What ResInversion recorded of the picture."),
                io.Guider.Input(
                    "guider",
                    tooltip="The pivot flow: the guider that the picture was inverted with. It is sampled here, with "
                    "the recorded schedule.",
                ),
                io.Boolean.Input(
                    "compare_plain",
                    default=True,
                    optional=True,
                    tooltip="Also sample without the residual noise, from the same noise, for comparison. Costs as "
                    "many guider calls again: one more for each step.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The reconstruction of the picture."),
                io.Image.Output(display_name="plot", tooltip="Error and residual noise by step."),
                io.String.Output(
                    display_name="report", tooltip="Errors, guider calls and seconds, and the numbers of each step."
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, residual_noise, guider, compare_plain=True):
        scales = {"reconstruction": 1.0}
        if compare_plain:
            scales["plain sampling"] = 0.0
        walks, samples = walk_back(guider, residual_noise, list(scales.values()))
        lines = [summary(name.capitalize(), walk) for name, walk in zip(scales, walks, strict=True)]
        shown = "\n".join([*lines, "Errors are absolute, in the model's latent units."])

        residuals = residual_noise.residual_noise().flip(0).flatten(1)
        columns = {f"{name}, max error": walk.errors for name, walk in zip(scales, walks, strict=True)}
        columns["residual noise, RMS"] = residuals.square().mean(dim=1).sqrt()
        plot = draw_steps(
            f"Inversion report: {residual_noise.steps} steps, error {walks[0].errors[-1]:.2g} at the end",
            "steps taken, from the noise to the picture",
            "model's latent units, logarithmic",
            {name: column.tolist() for name, column in columns.items()},
        )
        image = as_image(plot)
        report = f"{shown}\n\n{table(residual_noise.sigmas.flip(0), columns)}"
        both = {**ui.PreviewImage(image, cls=cls).as_dict(), **ui.PreviewText(shown).as_dict()}
        return io.NodeOutput({"samples": samples}, image, report, ui=both)


NODES = [InversionReport]

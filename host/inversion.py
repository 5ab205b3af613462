"""An inversion inside a guider's own sampling, and the guidance of its pivot."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import latent_preview
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..resinversion import Pivot, Recording, record_residual_noise
from .call_order import check_no_model_cache, may_keep_state
from .entered import EnteredGuider, SamplerFunction, sample_from
from .recordings import ModelPivot, ModelRecording, of_model
from .sampling_errors import check_finite
from .schedules import checked_sigmas
from .steps_per_call import check_shared_calls, check_steps_per_call
from .wiring import check_wiring

Report = Callable[[int, Tensor, Tensor], None]


class PivotGuidance:
    """An entered guider's prediction, and the part of it that moves the pivot, from one call.

    The pivot is to move unguided (the convention of null-text inversion and Direct Inversion: a guided pivot runs
    away), while the residual noise needs the guided prediction. The host hands over both in one call.

    guidance: "conditional", the conditional prediction moves the pivot, or "guided", the guider's own does.
    not_exposed: whether some call did not expose its conditional prediction, so that the pivot was guided after all.
    """

    def __init__(self, entered: EnteredGuider, guidance: str):
        self._entered = entered
        self._conditional = guidance == "conditional"
        self._positive = getattr(entered.model, "conds", {}).get("positive")
        self.not_exposed = False

    def __call__(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """(denoised, pivot_denoised), (B, C, H, W) each, of x at sigma (B,): a model for `res_inversion`."""
        if not self._conditional:
            denoised = self._entered.predict(x, sigma)
            return denoised, denoised
        exposed = []

        def after_guidance(args: dict) -> Tensor:
            # A guider of more than two conditionings may hand over the prediction of another than the positive one.
            if args["cond"] is self._positive:
                exposed.append(args["cond_denoised"])
            return args["denoised"]

        extra_args = self._entered.extra_args
        model_options = comfy.model_patcher.set_model_options_post_cfg_function(
            extra_args["model_options"].copy(), after_guidance
        )
        denoised = self._entered.model(x, sigma, **{**extra_args, "model_options": model_options})
        if len(exposed) != 1:
            self.not_exposed = True
            return denoised, denoised
        return denoised, exposed[0]

    def pivot(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Only what moves the pivot: a model for `ddim_inversion`."""
        return self(x, sigma)[1]

    def warnings(self) -> list[str]:
        """What to tell the user: that the pivot had to be guided, or nothing."""
        guided = "This guider does not expose its conditional prediction, so the pivot is guided."
        return [guided] if self.not_exposed else []


def invert(
    inversion: Callable[..., Pivot], model_calls: int, guider, sigmas: Tensor, latent_image: dict, pivot_guidance: str
) -> tuple[ModelPivot | ModelRecording, dict, list[str]]:
    """Run an inversion in the guider. Returns (recording, LATENT of its noisy end, what to tell the user).

    inversion: (guidance, x, sigmas, input_scale, device) -> a Pivot or a Recording; guidance is a PivotGuidance.
    model_calls: how many calls of the guider it makes. sigmas: (N + 1,), descending, as the scheduler gives them.
    Raises ValueError for sigmas, latents or guiders that cannot be inverted, and what `run_inversion` does.
    """
    sigmas = checked_sigmas(sigmas)
    check_no_model_cache(guider)
    samples = comfy.sample.fix_empty_latent_channels(guider.model_patcher, latent_image["samples"])

    def run(entered: EnteredGuider, device: torch.device, report: Report) -> tuple[Pivot, list[str]]:
        guidance = PivotGuidance(reported(entered, report), pivot_guidance)
        x = entered.latent_image
        scale = input_scale(guider.model_patcher, x.device)
        recording = inversion(guidance, x, entered.sigmas, input_scale=scale, device=device)
        return recording, guidance.warnings()

    warnings = check_wiring(guider, "guider")
    recording, noisy, more = run_inversion(guider, samples, sigmas.flip(0), run, model_calls)
    return of_model(recording, guider.model_patcher), {**latent_image, "samples": noisy}, [*warnings, *more]


def record_along(pivot: ModelPivot, guider, steps_per_call: int) -> ModelRecording:
    """Record a guider's predictions along a pivot: `record_residual_noise` in that guider.

    steps_per_call: >= 1, how many steps share a guider call. Raises ValueError where the steps cannot share calls, and
    what `run_inversion` does.
    """

    def run(entered: EnteredGuider, device: torch.device, report: Report) -> tuple[Recording, None]:
        x = entered.latent_image
        check_steps_per_call(entered.model, pivot.sigmas, len(x), steps_per_call)
        predict = reported(entered, report).predict
        recording = record_residual_noise(predict, pivot, x_device=x.device, steps_per_call=steps_per_call)
        if steps_per_call > 1 and may_keep_state(guider):
            check_shared_calls(entered.predict, recording, x.device)
        return recording, None

    picture = guider.model_patcher.model.process_latent_out(pivot.anchors[0])
    calls = math.ceil(pivot.steps / steps_per_call)
    recording, _, _ = run_inversion(guider, picture, pivot.sigmas.cpu(), run, calls)
    check_finite(recording.predictions)
    return of_model(recording, guider.model_patcher)


def reported(entered: EnteredGuider, report: Report) -> EnteredGuider:
    """The same, with each of its calls reported."""
    numbers = itertools.count()
    return entered.watched(lambda x, sigma, denoised: report(next(numbers), x, denoised))


def input_scale(model_patcher, device: torch.device) -> Callable[[Tensor], Tensor]:
    """c_in(sigma) of a MODEL, by which it scales x to its network's input, as `ddim_walk` takes it."""
    calculate_input = model_patcher.get_model_object("model_sampling").calculate_input
    return partial(calculate_input, noise=torch.ones((), device=device))


def noisy_latent(model_sampling, sigma: Tensor, noisy: Tensor) -> Tensor:
    """The noisy end of a pivot in the host's inverse noise scaling, as samplers give and take it: (B, C, H, W)."""
    rescaled = model_sampling.inverse_noise_scaling(sigma, noisy)
    # Flow models reach sigma = 1, where the host's scaling divides by zero: there is no picture left to rescale.
    return rescaled if torch.isfinite(rescaled).all() else noisy


def run_inversion(
    guider,
    latent_image: Tensor,
    sigmas: Tensor,
    run: Callable[[EnteredGuider, torch.device, Report], tuple],
    total: int,
    source: str = "guider",
) -> tuple:
    """Run an inversion inside the guider's own `sample`, with the host's previews and progress.

    As a sampler of its own: a KSAMPLER would divide by 1 - sigma at the noisy end, which for a flow-prediction model
    is zero.

    latent_image: (B, C, H, W) in the host's latent space. sigmas: (N + 1,), ascending.
    run: (entered, device, report) -> (a Pivot or a Recording, anything else). entered.latent_image is in the model's
        space, device is where the recording is to be kept, and report(n, x, denoised) tells that the unit of work n,
        counted from 0, is done. total: how many units of work there are, at most.
    source: the input that the guider came from, or "model" where the guider was made of a MODEL, for messages.
    Returns (recording, x*_N as (B, C, H, W) in the host's latent space, the second value of `run`).
    Raises ValueError where the guider's model predicts NaN or Inf, or a control module does not suit it.
    """
    check_wiring(guider, source if source == "guider" else None)

    def run_with_progress(entered: EnteredGuider) -> tuple[tuple, Tensor]:
        entered = replace(entered, sigmas=entered.sigmas.flip(0))
        with tqdm(total=total, disable=entered.disable_pbar) as progress:

            def report(n: int, x: Tensor, denoised: Tensor) -> None:
                progress.update(n + 1 - progress.n)
                entered.callback(n, denoised, x, total)

            recording, more = run(entered, comfy.model_management.intermediate_device(), report)
        noisy = recording.anchors[-1].to(entered.latent_image)
        model_sampling = entered.model.inner_model.model_sampling
        return (recording, more), noisy_latent(model_sampling, entered.sigmas[-1], noisy)

    sampler = SamplerFunction(run_with_progress)
    callback = latent_preview.prepare_callback(guider.model_patcher, total)
    # The guider is told of the schedule as it will be in sampling: patches look up their step in it.
    noisy = sample_from(guider, latent_image, sampler, sigmas.flip(0), callback, source)
    recording, more = sampler.result
    check_finite(recording.anchors, source)
    return recording, noisy, more

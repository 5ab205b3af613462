"""ResInversion in a guider, exact also where the guider's answers depend on the calls before them."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..resinversion import Pivot, Recording, ddim_inversion, res_inversion
from .call_order import answers_alike, follows_keyframes, may_keep_state, spread_steps
from .entered import EnteredGuider
from .inversion import PivotGuidance, Report, invert, record_along, reported, run_inversion
from .recordings import ModelPivot, ModelRecording
from .sampling_errors import check_finite

ROUNDS = 2  # of recording: the first may start from what the way up has left behind


def invert_exactly(
    guider, sigmas: Tensor, latent_image: dict, pivot_guidance: str, evaluate_at: str
) -> tuple[ModelRecording, dict, list[str]]:
    """`res_inversion` of a picture. Returns (recording, LATENT of its noisy end, what to tell the user).

    One pass, N + 1 guider calls (2N with evaluate_at "target"), where every answer stands by itself. Sampling walks
    down, so what follows falling sigmas records something else on the way up. A second, downward pass in a sampling of
    its own, N calls more, then records what sampling will meet: always for hook keyframes, which the conditioning
    declares, and else where a few steps, asked again in sampling's order, answer otherwise. They are asked again
    only if code of others could keep such state (`may_keep_state`).

    sigmas: (N + 1,), descending. Raises ValueError for sigmas or latents that cannot be inverted, for a guider whose
    answers differ from one downward pass to the next, and what `run_inversion` does.
    """
    inputs = guider, sigmas, latent_image, pivot_guidance
    steps = len(sigmas) - 1
    if follows_keyframes(guider):
        pivot, latent, warnings = invert(pivot_inversion(evaluate_at), steps, *inputs)
        recording = record_along(pivot, guider, 1)
        return recording, latent, [*warnings, _explain("has hook keyframes, which follow the steps of sampling", steps)]

    checked = may_keep_state(guider)
    if checked and evaluate_at == "target":
        pivot, latent, warnings = invert(pivot_inversion(evaluate_at), steps, *inputs)
        return _record_downwards(pivot, guider), latent, warnings

    again = spread_steps(steps) if checked else []
    came_back = []

    def inversion(guidance: PivotGuidance, x: Tensor, sigmas: Tensor, **options) -> Recording:
        recording = res_inversion(guidance, x, sigmas, evaluate_at=evaluate_at, **options)
        came_back.append(answers_alike(lambda x, sigma: guidance(x, sigma)[0], recording, again, x.device))
        return recording

    calls = 2 * steps if evaluate_at == "target" else steps + 1
    recording, latent, warnings = invert(inversion, calls + len(again), *inputs)
    check_finite(recording.predictions)
    if came_back == [True]:
        return recording, latent, warnings
    recording = _record_downwards(recording, guider)
    reason = "answers by what it was asked before (as APG's momentum does)"
    return recording, latent, [*warnings, _explain(reason, steps)]


def pivot_inversion(evaluate_at: str) -> Callable[..., Pivot]:
    """`ddim_inversion` as `invert` takes an inversion. evaluate_at: one of EVALUATE_AT."""

    def inversion(guidance: PivotGuidance, x: Tensor, sigmas: Tensor, **options) -> Pivot:
        return ddim_inversion(guidance.pivot, x, sigmas, evaluate_at=evaluate_at, **options)

    return inversion


def _explain(reason: str, steps: int) -> str:
    return (
        f"The guider {reason}, so its residual noise was recorded in a second pass, downwards: about {steps} more "
        "guider calls."
    )


def _record_downwards(pivot: ModelPivot, guider) -> ModelRecording:
    """`record_along`, with its first steps asked once more as a sampling would: only what comes back alike is kept."""
    first = list(range(pivot.steps, max(pivot.steps - 3, 0), -1))
    picture = guider.model_patcher.model.process_latent_out(pivot.anchors[0])
    for _ in range(ROUNDS):
        recording = record_along(pivot, guider, 1)

        def run(entered: EnteredGuider, device: torch.device, report: Report, recording=recording) -> tuple:
            predict = reported(entered, report).predict
            return recording, answers_alike(predict, recording, first, entered.latent_image.device)

        _, _, alike = run_inversion(guider, picture, pivot.sigmas.cpu(), run, len(first))
        if alike:
            return recording
    raise ValueError(
        "guider: asked the same again, it answers otherwise, so no inversion of it can be exact. Remove the node on "
        "its MODEL that adds chance or keeps state (such as a cache) from this guider; on the forward flow it may stay."
    )

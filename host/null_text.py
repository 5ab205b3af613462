"""Null-text inversion in the host: the text it starts from, the inversion itself, and a report of what it took."""

import itertools
import math

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ..baselines.null_text import NonFiniteError, NullText, null_text_inversion
from ..resinversion import to_d
from .call_order import check_no_keyframes, check_no_model_cache, may_keep_state
from .entered import EnteredGuider
from .gradients import checkpointed, load_for_gradients
from .inversion import Report, input_scale, reported, run_inversion
from .null_text_guider import CFGPredictions, text_of
from .sampling_errors import NON_FINITE_REMEDY

# The mean distance of two pictures in latent units, in which a picture's variance is about 1, from which on they look
# different: a model computing in half precision does not reach it by rounding.
SEEN = 0.02


def check_one_text(name: str, conditioning: list) -> None:
    """Raise ValueError, naming the input, unless a CONDITIONING holds one text."""
    if len(conditioning) != 1 or conditioning[0][0] is None:
        texts = sum(embedding is not None for embedding, _ in conditioning)
        raise ValueError(
            f"{name}: holds {texts} texts, but the null text can start from exactly one. Connect one CLIP Text Encode "
            "node; its text may be empty."
        )


def starting_text(positive: list, negative: list, start_from: str) -> list:
    """The negative CONDITIONING with the text that the null text starts from, and its pooled text; the rest stays."""
    check_one_text("negative", negative)
    if start_from == "negative":
        return negative
    check_one_text("positive", positive)
    (embedding, of_positive), (_, of_negative) = positive[0], negative[0]
    return [[embedding, {**of_negative, "pooled_output": of_positive.get("pooled_output")}]]


def optimised_pooled_width(start: list, start_from: str, pooled: str) -> int:
    """How much of SDXL's vector conditioning is pooled text that is optimised: its width, or 0 where it is frozen."""
    if pooled == "frozen":
        return 0
    pooled_output = start[0][1].get("pooled_output")
    if pooled_output is None:
        raise ValueError(
            f"pooled: {start_from} has no pooled embedding to optimise. Set pooled to frozen, or connect the "
            "conditioning of an SDXL model."
        )
    return pooled_output.shape[-1]


def invert_null_text(
    model, positive, negative, cfg, sigmas: Tensor, latent_image: dict, pooled_width: int, inner_steps: int, **options
) -> tuple[NullText, dict]:
    """Null-text inversion in the host's CFGGuider. Returns (NullText, LATENT of the pivot's noisy end).

    negative: the CONDITIONING with the text to start from. sigmas: (N + 1,), descending. pooled_width: how much of
    SDXL's vector conditioning is pooled text that is optimised. options: of `null_text_inversion`.
    """
    flow = comfy.samplers.CFGGuider(model)
    flow.set_conds(positive, negative)
    flow.set_cfg(cfg)
    check_no_model_cache(flow, "model")
    check_no_keyframes(flow)
    if inner_steps:
        load_for_gradients(flow)
    samples = comfy.sample.fix_empty_latent_channels(model, latent_image["samples"])
    steps = len(sigmas) - 1

    def run(entered: EnteredGuider, device: torch.device, report: Report) -> tuple[NullText, None]:
        guider, x = entered.model, entered.latent_image
        scale = input_scale(model, x.device)
        predictions, counted = CFGPredictions(entered), itertools.count()

        def show(n: int, x: Tensor, denoised: Tensor) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            with torch.inference_mode():  # as the host runs previewers, whose weights take no part in the gradient
                report(n, x, denoised)

        def conditional(x: Tensor, sigma: Tensor) -> Tensor:
            denoised = predictions.conditional(x, sigma)
            if (n := next(counted)) < steps:  # a call of the pivot; the later ones come with inner steps
                show(n, x, denoised)
            return denoised

        inner_step = dict.fromkeys(range(steps), 0)

        def on_inner_step(call: dict) -> None:  # a step that stops early leaves numbers out
            show(steps + call["i"] * inner_steps + inner_step[call["i"]], call["x"], call["denoised"])
            inner_step[call["i"]] += 1

        networks = [patcher.model for patcher in (guider.model_patcher, *guider.loaded_models)]
        with checkpointed(networks):
            null_text = null_text_inversion(
                conditional,
                predictions.guided,
                x,
                entered.sigmas,
                [part.to(x.device) for part in text_of(guider.conds["negative"], len(x), pooled_width)],
                on_inner_step,
                inner_steps=inner_steps,
                input_scale=scale,
                device=device,
                **options,
            )
        return null_text, None

    try:
        null_text, noisy, _ = run_inversion(flow, samples, sigmas.flip(0), run, (1 + inner_steps) * steps, "model")
    except NonFiniteError as error:
        raise ValueError(
            f"model: its prediction, or the gradient through it, holds NaN or Inf. {NON_FINITE_REMEDY}"
        ) from error
    except RuntimeError as error:
        if "backward through the graph a second time" not in str(error):
            raise
        raise ValueError(
            "model: something on it keeps its answers from call to call (as APG's momentum does), so null texts cannot "
            "be optimised through it. Remove it, or use ResInversion, which allows for it."
        ) from error
    return null_text, {**latent_image, "samples": noisy}


def sampling_warnings(guider, null_text: NullText) -> list[str]:
    """What to tell the user where sampling with the null texts ends elsewhere than their optimisation did.

    Patches that keep state from call to call do so: the optimisation asks many times a step, sampling once. Only where
    there may be such a patch is the picture sampled to find out, N guider calls. guider: of these null texts.
    """
    if not may_keep_state(guider):
        return []

    def run(entered: EnteredGuider, device: torch.device, report: Report) -> tuple[NullText, Tensor]:
        predict = reported(entered, report).predict
        x = null_text.anchors[-1].to(entered.latent_image)
        sigmas, s_in = null_text.sigmas.to(x), x.new_ones([x.shape[0]])
        for i in range(null_text.steps, 0, -1):
            x = x + (sigmas[i - 1] - sigmas[i]) * to_d(x, sigmas[i], predict(x, sigmas[i] * s_in))
        return null_text, x

    picture = guider.model_patcher.model.process_latent_out(null_text.anchors[0])
    _, _, sampled = run_inversion(guider, picture, null_text.sigmas.cpu(), run, null_text.steps, "model")
    distance = (sampled - null_text.reconstruction.to(sampled)).abs().mean().item()
    if distance <= SEEN:
        return []
    return [
        f"Sampling with these null texts ends {distance:.2g} away from their reconstruction, on average: something on "
        "the MODEL answers by what it was asked before (as APG's momentum does). Remove it, or use ResInversion, which "
        "allows for it."
    ]


def report(null_text: NullText, cfg: float, inner_steps: int, start_from: str) -> str:
    """What the inversion took and reached, for the user."""
    if math.isclose(cfg, 1.0):
        return "At cfg 1 guidance ignores the negative text: there is nothing to optimise, and it stays as it is."
    if inner_steps:
        taken = f"{null_text.inner_steps} inner steps taken, of {inner_steps * null_text.steps} at most"
        taken += ", from the positive prompt" if start_from == "positive" else ""
    elif start_from == "positive":
        taken = "Negative-prompt inversion: the positive prompt replaces the negative, and nothing was optimised"
    else:
        taken = "No inner steps: the negative prompt stays as it is, and nothing was optimised"
    error = (null_text.reconstruction.to(null_text.anchors) - null_text.anchors[0]).abs().max().item()
    return (
        f"{taken}: {null_text.calls} forward passes, {null_text.inner_steps} backward passes. Largest error of the "
        f"reconstruction: {error:.3g}."
    )

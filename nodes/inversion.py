"""Inversion nodes: a picture's latent to a pivot and its residual noise."""

import logging
import math
from functools import partial

import comfy.sample
import torch
from comfy_api.latest import io, ui

from ..resinversion import EVALUATE_AT, ddim_inversion, record_residual_noise, res_inversion
from .batched_steps import check_steps_per_call
from .checks import check_at_least, check_latent, check_model_kind, check_recording, check_sigmas, model_kind
from .inversion_sampler import ConditionalPivot, InversionSampler, run_inversion
from .sockets import Pivot, ResidualNoise

CATEGORY = "CustomEnhancer/inversion"

SCHEDULE_AND_PICTURE = [
    io.Sigmas.Input(
        "sigmas",
        tooltip="The schedule that will be sampled with, as the scheduler gives it. It is flipped inside. "
        "The low_sigmas of SplitSigmas invert only part of the way.",
    ),
    io.Latent.Input("latent_image", tooltip="The picture to invert, encoded by the VAE."),
]
PICTURE_INPUTS = [
    io.Guider.Input(
        "guider",
        tooltip="The customization-free flow: a guider whose conditioning has the prompt without the identity.",
    ),
    *SCHEDULE_AND_PICTURE,
]
PIVOT_GUIDANCE_INPUT = io.Combo.Input(
    "pivot_guidance",
    options=["conditional", "guided"],
    default="conditional",
    optional=True,
    tooltip="conditional: the pivot moves by the positive prompt alone, where the guider tells it apart; that keeps it "
    "near the noise that models know. guided: it moves by the guider's full prediction. Both cost the same.",
)
INVERSION_INPUTS = [
    *PICTURE_INPUTS,
    PIVOT_GUIDANCE_INPUT,
    io.Combo.Input(
        "evaluate_at",
        options=list(EVALUATE_AT),
        default="current",
        optional=True,
        tooltip="The sigma at which a step asks the model: the one it leaves (current, as ComfyUI's euler) or the one "
        "it goes to (target, as prompt-to-prompt and diffusers). target takes a second pass for the residual noise.",
    ),
]


def invert(invert_function, model_calls, guider, sigmas, latent_image, pivot_guidance: str, **options):
    """Run an inversion of `resinversion` in the guider. Returns (recording, LATENT, warning for the user or None).

    invert_function: ddim_inversion, res_inversion or renoise_inversion; options: those that are its own.
    model_calls: from the number of steps, how many calls the function makes.
    """
    check_sigmas(sigmas)
    check_latent("latent_image", latent_image["samples"])
    samples = comfy.sample.fix_empty_latent_channels(guider.model_patcher, latent_image["samples"])
    calculate_input = guider.model_patcher.get_model_object("model_sampling").calculate_input
    conditional_pivot = ConditionalPivot() if pivot_guidance == "conditional" else None

    def run(model, x, sigmas, extra_args, callback, device):
        return invert_function(
            model,
            x,
            sigmas,
            conditional_pivot.listen(model, extra_args) if conditional_pivot else extra_args,
            callback,
            model_kind=model_kind(guider.model_patcher),
            input_scale=partial(calculate_input, noise=torch.ones((), device=x.device)),
            pivot_denoised=conditional_pivot,
            device=device,
            **options,
        )

    sampler = InversionSampler(run, model_calls(len(sigmas) - 1))
    noisy = run_inversion(guider, samples, sigmas.flip(0), sampler)
    warning = conditional_pivot.warning() if conditional_pivot else None
    if warning:
        logging.warning("CustomEnhancer: %s", warning)
    return sampler.recording, {**latent_image, "samples": noisy}, warning


class DDIMInversion(io.ComfyNode):
    """`ddim_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_DDIMInversion",
            display_name="DDIM Inversion",
            category=CATEGORY,
            description="Walks a picture back to noise (the pivot flow). Fast, but sampling from its latent alone "
            "drifts from the picture: Record Residual Noise adds what makes it exact.",
            inputs=INVERSION_INPUTS,
            outputs=[
                Pivot.Output(display_name="pivot", tooltip="The trajectory from picture to noise."),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot."),
            ],
        )

    @classmethod
    def execute(cls, guider, sigmas, latent_image, pivot_guidance="conditional", evaluate_at="current"):
        pivot, latent, warning = invert(
            ddim_inversion, lambda steps: steps, guider, sigmas, latent_image, pivot_guidance, evaluate_at=evaluate_at
        )
        return io.NodeOutput(pivot, latent, ui=warning and ui.PreviewText(warning))


class ResInversion(io.ComfyNode):
    """`res_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_ResInversion",
            display_name="ResInversion",
            category=CATEGORY,
            description="Inverts a picture exactly: the pivot and its residual noise in one pass of steps + 1 guider "
            "calls. BiMD Sampler brings the picture back from it.",
            inputs=INVERSION_INPUTS,
            outputs=[
                ResidualNoise.Output(
                    display_name="residual_noise", tooltip="Pivot and residual noise, for BiMD Sampler."
                ),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from."),
            ],
        )

    @classmethod
    def execute(cls, guider, sigmas, latent_image, pivot_guidance="conditional", evaluate_at="current"):
        def model_calls(steps: int) -> int:
            return 2 * steps if evaluate_at == "target" else steps + 1

        residual_noise, latent, warning = invert(
            res_inversion, model_calls, guider, sigmas, latent_image, pivot_guidance, evaluate_at=evaluate_at
        )
        check_recording(residual_noise.predictions)
        return io.NodeOutput(residual_noise, latent, ui=warning and ui.PreviewText(warning))


class RecordResidualNoise(io.ComfyNode):
    """`record_residual_noise` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_RecordResidualNoise",
            display_name="Record Residual Noise",
            category=CATEGORY,
            description="Adds the residual noise of a guider to a pivot made elsewhere, for one guider call a step or "
            "fewer. After it the guider samples back along that pivot exactly.",
            inputs=[
                io.Guider.Input("guider", tooltip="The customization-free flow that will be sampled with."),
                Pivot.Input("pivot", tooltip="Any pivot of a model of the same kind."),
                io.Int.Input(
                    "steps_per_call",
                    default=1,
                    min=1,
                    max=10000,
                    optional=True,
                    advanced=True,
                    tooltip="How many steps share a guider call, as one batch: faster where the GPU has memory for "
                    "that many times the batch. Conditioning that starts or ends within a call is refused. Patches "
                    "that act by the step's sigma or count steps need 1.",
                ),
            ],
            outputs=[
                ResidualNoise.Output(
                    display_name="residual_noise", tooltip="Pivot and residual noise, for BiMD Sampler."
                )
            ],
        )

    @classmethod
    def execute(cls, guider, pivot, steps_per_call=1):
        check_at_least("steps_per_call", steps_per_call, 1)
        check_model_kind(pivot.model_kind, guider.model_patcher, "pivot")

        def run(model, x, sigmas, extra_args, callback, device):
            check_steps_per_call(model, pivot.sigmas, len(x), steps_per_call)
            return record_residual_noise(
                model, pivot, extra_args, callback, x_device=x.device, steps_per_call=steps_per_call
            )

        picture = guider.model_patcher.model.process_latent_out(pivot.anchors[0])
        sampler = InversionSampler(run, math.ceil(pivot.steps / steps_per_call))
        run_inversion(guider, picture, pivot.sigmas.cpu(), sampler)
        check_recording(sampler.recording.predictions)
        return io.NodeOutput(sampler.recording)


NODES = [DDIMInversion, ResInversion, RecordResidualNoise]

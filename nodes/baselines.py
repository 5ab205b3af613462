"""Nodes of other papers' inversions: ReNoise and null text."""

import logging
import math

from comfy_api.v0_0_2 import io

from ..baselines.noise_regularisation import check_can_regularise
from ..baselines.renoise import renoise_inversion
from ..host.checked_node import CheckedNode
from ..host.inversion import PivotGuidance, invert
from ..host.latents import noise_scaling
from ..host.null_text import invert_null_text, optimised_pooled_width, report, sampling_warnings, starting_text
from ..host.null_text_guider import NullTextGuider
from ..host.previews import told
from ..host.schedules import checked_sigmas
from ..host.text_checks import check_text
from ..host.wiring import check_wiring
from .inputs import (
    INVERSION,
    INVERSION_INPUTS,
    LATENT_IMAGE_INPUT,
    PIVOT_GUIDANCE_INPUT,
    SIGMAS_INPUT,
    PivotSocket,
    seed_input,
)


class ReNoiseInversionNode(CheckedNode):
    """`renoise_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_ReNoiseInversion",
            display_name="ReNoise Inversion",
            category=INVERSION,
            description="Inverts a picture to noise in refined steps, so that plain sampling from the latent stays "
            "close to the picture. Each iteration costs one more guider call per step.",
            inputs=[
                *INVERSION_INPUTS,
                io.Int.Input(
                    "iterations",
                    default=1,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="How many times each step is refined. 1: the original method's choice for SDXL with many "
                    "steps; few steps need more (9 for 4 steps of a turbo model). 0: the same as DDIM Inversion with "
                    "evaluate_at target.",
                ),
                io.Int.Input(
                    "average",
                    default=1,
                    min=1,
                    max=101,
                    optional=True,
                    tooltip="How many of a step's last estimates are averaged, at most iterations + 1. 1: the last one "
                    "only. More steadies steps whose estimates oscillate.",
                ),
                PIVOT_GUIDANCE_INPUT,
                io.Int.Input(
                    "regularisation_steps",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="How many steps move each refined prediction towards noise that the model is trained on: "
                    "matching mean and variance of its patches, and no spatial correlation. Meant for editing; "
                    "reconstruction may get worse. One more guider call per step. 0: off. 4: the original method's "
                    "choice.",
                ),
                seed_input(
                    "Seed of the random noise that regularisation compares with. No effect without regularisation."
                ),
            ],
            outputs=[
                PivotSocket.Output(display_name="pivot", tooltip="The trajectory from the picture to noise."),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from."),
            ],
        )

    @classmethod
    def execute(
        cls,
        guider,
        sigmas,
        latent_image,
        iterations=1,
        average=1,
        pivot_guidance="conditional",
        regularisation_steps=0,
        noise_seed=0,
    ):
        if average > iterations + 1:
            raise ValueError(
                f"average: {average} is not between 1 and {iterations + 1}, the number of estimates per step with "
                f"iterations {iterations}. Lower average or raise iterations."
            )
        if regularisation_steps and not iterations:
            raise ValueError(
                f"regularisation_steps: is {regularisation_steps}, but iterations 0 makes no refined prediction to "
                "regularise. Set iterations to 1 or more, or regularisation_steps to 0."
            )
        if regularisation_steps:
            check_can_regularise("latent_image", latent_image["samples"])

        def inversion(guidance: PivotGuidance, x, sigmas, **options):
            return renoise_inversion(
                guidance.pivot,
                x,
                sigmas,
                iterations=iterations,
                average=average,
                regularisation_steps=regularisation_steps,
                seed=noise_seed,
                noise_scaling=noise_scaling(guider.model_patcher),
                **options,
            )

        model_calls = (iterations + 1 + (regularisation_steps > 0)) * (len(sigmas) - 1)
        pivot, latent, warnings = invert(inversion, model_calls, guider, sigmas, latent_image, pivot_guidance)
        return io.NodeOutput(pivot, latent, ui=told(warnings))


class NullTextInversionNode(CheckedNode):
    """`invert_null_text` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_NullTextInversion",
            display_name="Null-Text Inversion",
            category=INVERSION,
            description="Inverts a picture, then optimises the negative text embedding at each step until guided "
            "sampling leads back to the picture. Takes many times as long as ResInversion, and needs memory for "
            "gradients.",
            inputs=[
                io.Model.Input("model", tooltip="An SDXL model, personalised or not. It is not changed."),
                io.Conditioning.Input(
                    "positive", tooltip="The prompt, with or without the person. It alone moves the pivot."
                ),
                io.Conditioning.Input(
                    "negative",
                    tooltip="One text, often empty, from which the optimisation starts unless start_from says "
                    "otherwise. Only the text is replaced; faces, ControlNets and areas in the conditioning stay.",
                ),
                io.Float.Input(
                    "cfg",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    tooltip="The guidance scale to sample the picture with. At 1 there is nothing to optimise.",
                ),
                SIGMAS_INPUT,
                LATENT_IMAGE_INPUT,
                io.Int.Input(
                    "inner_steps",
                    default=10,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="The most optimisation steps per step of the schedule. 0: none; with start_from positive, "
                    "that is negative-prompt inversion.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=0.01,
                    min=0.000001,
                    max=1.0,
                    step=0.000001,
                    optional=True,
                    tooltip="Adam's learning rate. Adam is reset at each step. The rate falls by 1/100 of this value "
                    "per step.",
                ),
                io.Float.Input(
                    "early_stop",
                    default=1e-5,
                    min=-1.0,
                    max=1.0,
                    step=0.000001,
                    optional=True,
                    tooltip="A step stops optimising once its loss is below this threshold, which rises by 0.00002 per "
                    "step. Lower: closer to the picture, but slower. -1: never stop early.",
                ),
                io.Combo.Input(
                    "pooled",
                    options=["frozen", "optimised"],
                    default="frozen",
                    optional=True,
                    tooltip="SDXL's pooled text embedding, one vector for the whole prompt: left as it is, or "
                    "optimised together with the text embedding.",
                ),
                io.Combo.Input(
                    "start_from",
                    options=["negative", "positive"],
                    default="negative",
                    optional=True,
                    tooltip="The prompt whose text the null text starts from. positive: guidance has no effect at "
                    "first, which starts closer to the picture than an empty text does.",
                ),
            ],
            outputs=[
                io.Guider.Output(
                    display_name="guider",
                    tooltip="Model, prompts and each step's null text, for SamplerCustomAdvanced.",
                ),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        sigmas,
        latent_image,
        cfg=7.5,
        inner_steps=10,
        learning_rate=0.01,
        early_stop=1e-5,
        pooled="frozen",
        start_from="negative",
    ):
        sigmas = checked_sigmas(sigmas)
        check_text("positive:", model, positive)
        check_text("negative:", model, negative)
        start = starting_text(positive, negative, start_from)
        pooled_width = optimised_pooled_width(start, start_from, pooled)
        if math.isclose(cfg, 1.0):  # as the host tells it
            inner_steps = 0
        null_text, latent = invert_null_text(
            model,
            positive,
            start,
            cfg,
            sigmas,
            latent_image,
            pooled_width,
            inner_steps,
            learning_rate=learning_rate,
            early_stop=early_stop,
        )
        guider = NullTextGuider(model, positive, start, cfg, null_text)
        text = report(null_text, cfg, inner_steps, start_from)
        logging.info("CustomEnhancer: %s", text)
        warnings = sampling_warnings(guider, null_text) + check_wiring(guider, None)
        return io.NodeOutput(guider, latent, ui=told(warnings, text))


NODES = [ReNoiseInversionNode, NullTextInversionNode]

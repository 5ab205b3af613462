"""The ReNoise node: a pivot whose steps are refined until sampling undoes them."""

from comfy_api.latest import io, ui

from ..resinversion import check_can_regularise, renoise_inversion
from .checks import check_at_least
from .inversion import CATEGORY, PICTURE_INPUTS, PIVOT_GUIDANCE_INPUT, invert
from .sockets import Pivot
from .uninverted import noise_scaling


class ReNoiseInversion(io.ComfyNode):
    """`renoise_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_ReNoiseInversion",
            display_name="ReNoise Inversion",
            category=CATEGORY,
            description="Walks a picture back to noise in refined steps, so that plain sampling from its latent stays "
            "near the picture. Each iteration costs one more guider call a step.",
            inputs=[
                *PICTURE_INPUTS,
                io.Int.Input(
                    "iterations",
                    default=1,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="How often each step is refined. 1: the original's choice for SDXL with many steps; few "
                    "steps want more (9 with 4 steps of a turbo model). 0: DDIM Inversion, evaluated at the target.",
                ),
                io.Int.Input(
                    "average",
                    default=1,
                    min=1,
                    max=101,
                    optional=True,
                    tooltip="How many of the last estimates of a step are averaged, iterations + 1 at most. 1: the "
                    "last alone. More steadies steps whose estimates go back and forth.",
                ),
                PIVOT_GUIDANCE_INPUT,
                io.Int.Input(
                    "regularisation_steps",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="How many steps move the refined predictions towards noise that the model knows: its "
                    "patches' mean and variance, and no correlation between places. Meant for editing; sampling may "
                    "lead back less well. One more guider call a step. 0: off. 4: the original's.",
                ),
                io.Int.Input(
                    "noise_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    optional=True,
                    tooltip="Of the random noise that regularisation compares with. Without regularisation it changes "
                    "nothing.",
                ),
            ],
            outputs=[
                Pivot.Output(display_name="pivot", tooltip="The trajectory from picture to noise."),
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
        check_at_least("iterations", iterations, 0)
        check_at_least("regularisation_steps", regularisation_steps, 0)
        if not 1 <= average <= iterations + 1:
            raise ValueError(
                f"average: {average} is not between 1 and {iterations + 1}, the number of estimates that iterations "
                f"{iterations} makes of a step. Lower average or raise iterations."
            )
        if regularisation_steps and not iterations:
            raise ValueError(
                f"regularisation_steps: {regularisation_steps} steps, and iterations 0 makes no refined prediction to "
                "regularise. Set iterations to 1 or more, or regularisation_steps to 0."
            )
        if regularisation_steps:
            check_can_regularise("latent_image", latent_image["samples"])
        pivot, latent, warning = invert(
            renoise_inversion,
            lambda steps: (iterations + 1 + (regularisation_steps > 0)) * steps,
            guider,
            sigmas,
            latent_image,
            pivot_guidance,
            iterations=iterations,
            average=average,
            regularisation_steps=regularisation_steps,
            seed=noise_seed,
            noise_scaling=noise_scaling(guider.model_patcher),
        )
        return io.NodeOutput(pivot, latent, ui=warning and ui.PreviewText(warning))


NODES = [ReNoiseInversion]

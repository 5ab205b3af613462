"""Inversion nodes: a picture's latent to a pivot and its residual noise."""

from comfy_api.v0_0_2 import io

from ..host.checked_node import CheckedNode
from ..host.inversion import invert, record_along
from ..host.previews import told
from ..host.res_inversion import invert_exactly, pivot_inversion
from ..host.wiring import check_wiring
from ..resinversion import EVALUATE_AT
from .inputs import INVERSION, INVERSION_INPUTS, PIVOT_GUIDANCE_INPUT, PivotSocket, ResidualNoiseSocket

EVALUATE_AT_INPUT = io.Combo.Input(
    "evaluate_at",
    options=list(EVALUATE_AT),
    default="current",
    optional=True,
    tooltip="The sigma at which a step evaluates the model: the one it starts from (current, like ComfyUI's euler) or "
    "the one it steps to (target, like prompt-to-prompt and diffusers). target needs a second pass for the residual "
    "noise.",
)


class DDIMInversionNode(CheckedNode):
    """`ddim_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_DDIMInversion",
            display_name="DDIM Inversion",
            category=INVERSION,
            description="Inverts a picture to noise; the trajectory is the pivot. Fast, but sampling from its latent "
            "alone drifts away from the picture: Record Residual Noise makes it exact.",
            inputs=[*INVERSION_INPUTS, PIVOT_GUIDANCE_INPUT, EVALUATE_AT_INPUT],
            outputs=[
                PivotSocket.Output(display_name="pivot", tooltip="The trajectory from the picture to noise."),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot."),
            ],
        )

    @classmethod
    def execute(cls, guider, sigmas, latent_image, pivot_guidance="conditional", evaluate_at="current"):
        inversion = pivot_inversion(evaluate_at)
        pivot, latent, warnings = invert(inversion, len(sigmas) - 1, guider, sigmas, latent_image, pivot_guidance)
        return io.NodeOutput(pivot, latent, ui=told(warnings))


class ResInversionNode(CheckedNode):
    """`res_inversion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_ResInversion",
            display_name="ResInversion",
            category=INVERSION,
            description="Inverts a picture exactly: records the pivot and its residual noise in one pass of steps + 1 "
            "guider calls. BiMD Sampler reconstructs the picture from them.",
            inputs=[*INVERSION_INPUTS, PIVOT_GUIDANCE_INPUT, EVALUATE_AT_INPUT],
            outputs=[
                ResidualNoiseSocket.Output(
                    display_name="residual_noise", tooltip="Pivot and residual noise, for BiMD Sampler."
                ),
                io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from."),
            ],
        )

    @classmethod
    def execute(cls, guider, sigmas, latent_image, pivot_guidance="conditional", evaluate_at="current"):
        residual_noise, latent, warnings = invert_exactly(guider, sigmas, latent_image, pivot_guidance, evaluate_at)
        return io.NodeOutput(residual_noise, latent, ui=told(warnings))


class RecordResidualNoiseNode(CheckedNode):
    """`record_residual_noise` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_RecordResidualNoise",
            display_name="Record Residual Noise",
            category=INVERSION,
            description="Records a guider's residual noise along an existing pivot, with at most one guider call per "
            "step. The guider then samples back along that pivot exactly.",
            inputs=[
                io.Guider.Input("guider", tooltip="The customization-free flow to sample with."),
                PivotSocket.Input("pivot", tooltip="Any pivot made with a model of the same kind."),
                io.Int.Input(
                    "steps_per_call",
                    default=1,
                    min=1,
                    max=10000,
                    optional=True,
                    advanced=True,
                    tooltip="How many steps share one guider call, as one batch: faster if the GPU has memory for that "
                    "many times the batch. Conditioning that starts or ends within a call is refused. Patches that "
                    "depend on sigma or count steps need 1.",
                ),
            ],
            outputs=[
                ResidualNoiseSocket.Output(
                    display_name="residual_noise", tooltip="Pivot and residual noise, for BiMD Sampler."
                )
            ],
        )

    @classmethod
    def execute(cls, guider, pivot, steps_per_call=1):
        warnings = check_wiring(guider, "guider")
        return io.NodeOutput(record_along(pivot, guider, steps_per_call), ui=told(warnings))


NODES = [DDIMInversionNode, ResInversionNode, RecordResidualNoiseNode]

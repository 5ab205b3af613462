"""Nodes of pivots that are made without an inversion: seeded noise, and the way on which a scene was generated."""

import comfy.model_management
from comfy_api.v0_0_2 import io
from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced

from ..baselines.noise_pivot import noise_pivot, shift_pivot
from ..host.checked_node import CheckedNode
from ..host.checks import check_batch_index
from ..host.latents import model_latent, noise_scaling, noisy_end
from ..host.previews import told
from ..host.recordings import of_model
from ..host.sampling_errors import sampled
from ..host.schedules import checked_sigmas
from ..host.trajectory import trajectory_recorder
from ..host.wiring import check_wiring
from .inputs import INVERSION, PivotSocket, seed_input

NOISY_END = io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from.")


class NoisePivotNode(CheckedNode):
    """`noise_pivot` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_NoisePivot",
            display_name="Noise Pivot",
            category=INVERSION,
            description="A pivot made of the picture under fresh noise at every step (edit-friendly noise), without a "
            "guider call. After Record Residual Noise, a guider samples back along it exactly.",
            is_experimental=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to sample with: it defines how a picture is noised."),
                io.Sigmas.Input(
                    "sigmas",
                    tooltip="The schedule to sample with, exactly as the scheduler outputs it. To noise only part of "
                    "the way, connect low_sigmas of SplitSigmas.",
                ),
                io.Latent.Input("latent_image", tooltip="The picture, encoded by the VAE."),
                seed_input(
                    "Seed of the noise of all steps. The same seed gives the same pivot on every machine.",
                    control_after_generate=True,
                ),
            ],
            outputs=[
                PivotSocket.Output(display_name="pivot", tooltip="The picture, under independent noise at each step."),
                NOISY_END,
            ],
        )

    @classmethod
    def execute(cls, model, sigmas, latent_image, noise_seed=0):
        sigmas = checked_sigmas(sigmas)
        pivot = noise_pivot(
            model_latent(model, latent_image),
            sigmas.flip(0),
            noise_seed,
            noise_scaling=noise_scaling(model),
            device=comfy.model_management.intermediate_device(),
        )
        return io.NodeOutput(of_model(pivot, model), noisy_end(model, pivot, latent_image))


class RecordTrajectoryNode(CheckedNode):
    """The host's SamplerCustomAdvanced with a `trajectory_recorder`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_RecordTrajectory",
            display_name="Record Trajectory",
            category=INVERSION,
            description="SamplerCustomAdvanced that also records the trajectory from noise to the picture, at no extra "
            "cost. Shift Pivot moves it onto the edited picture.",
            is_experimental=True,
            inputs=[
                io.Noise.Input("noise", tooltip="The noise to generate the scene from."),
                io.Guider.Input("guider", tooltip="The model and the prompt of the scene."),
                io.Sampler.Input(
                    "sampler",
                    tooltip="Any sampler that follows the schedule, such as euler or dpmpp_2m. dpm_fast and "
                    "dpm_adaptive choose sigmas of their own and are refused.",
                ),
                io.Sigmas.Input(
                    "sigmas", tooltip="The schedule for the scene, and later for sampling along the trajectory."
                ),
                io.Latent.Input("latent_image", tooltip="An empty latent, or a picture to start from."),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The scene, the same as from SamplerCustomAdvanced."),
                PivotSocket.Output(display_name="trajectory", tooltip="The trajectory to the scene: a pivot of it."),
            ],
        )

    @classmethod
    def execute(cls, noise, guider, sampler, sigmas, latent_image):
        sigmas = checked_sigmas(sigmas)
        check_batch_index("latent_image", latent_image)
        warnings = check_wiring(guider, "guider")
        recorder = trajectory_recorder(sampler)
        with sampled("guider"):
            (scene, *_) = SamplerCustomAdvanced.execute(noise, guider, recorder, sigmas, latent_image).result
        return io.NodeOutput(scene, recorder.result, ui=told(warnings))


class ShiftPivotNode(CheckedNode):
    """`shift_pivot` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_ShiftPivot",
            display_name="Shift Pivot",
            category=INVERSION,
            description="Moves a pivot onto an edited picture, such as the scene's trajectory onto the scene with the "
            "swapped face, without a guider call. After Record Residual Noise, a guider samples back along it exactly.",
            is_experimental=True,
            inputs=[
                io.Model.Input("model", tooltip="The model to sample with, of the same kind as the pivot's."),
                PivotSocket.Input(
                    "pivot", tooltip="The pivot of the picture before the edit, for example from Record Trajectory."
                ),
                io.Latent.Input("latent_image", tooltip="The edited picture, encoded by the VAE, of the same size."),
            ],
            outputs=[
                PivotSocket.Output(
                    display_name="pivot", tooltip="The shifted pivot, which leads to the edited picture."
                ),
                NOISY_END,
            ],
        )

    @classmethod
    def execute(cls, model, pivot, latent_image):
        picture = model_latent(model, latent_image)
        if picture.shape != pivot.anchors.shape[1:]:
            raise ValueError(
                f"latent_image: its shape {tuple(picture.shape)} is not that of the pivot's picture "
                f"{tuple(pivot.anchors.shape[1:])}. Edit that picture without changing its size or batch."
            )
        shifted = shift_pivot(pivot, picture, noise_scaling=noise_scaling(model))
        return io.NodeOutput(of_model(shifted, model), noisy_end(model, shifted, latent_image))


NODES = [NoisePivotNode, RecordTrajectoryNode, ShiftPivotNode]

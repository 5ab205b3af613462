"""Nodes of pivots that take no inversion: seeded noise, and the way on which a scene itself was generated."""

import comfy.model_management
import comfy.sample
import torch
from comfy_api.latest import io
from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced

from ..resinversion import noise_pivot, shift_pivot
from .checks import check_latent, check_model_kind, check_sigmas, model_kind
from .control_family import check_control_family
from .inversion_sampler import noisy_latent
from .sockets import Pivot
from .trajectory_sampler import TrajectorySampler

CATEGORY = "CustomEnhancer/inversion"

NOISY_END = io.Latent.Output(display_name="latent", tooltip="The noisy end of the pivot, to sample from.")


def noise_scaling(model):
    """A MODEL's own noise scaling as `noise_pivot` and `shift_pivot` take it: (sigma, noise, x) -> x at sigma."""
    return model.get_model_object("model_sampling").noise_scaling


def model_latent(model, latent_image: dict) -> torch.Tensor:
    """The picture of a LATENT in a MODEL's own space, (B, C, H, W) float32."""
    check_latent("latent_image", latent_image["samples"])
    samples = comfy.sample.fix_empty_latent_channels(model, latent_image["samples"])
    return model.get_model_object("latent_format").process_in(samples.float())


def noisy_end(model, pivot, latent_image: dict) -> dict:
    """LATENT of a pivot's noisy end, with all else that `latent_image` holds."""
    noisy = noisy_latent(model.get_model_object("model_sampling"), pivot.sigmas[-1], pivot.anchors[-1])
    return {**latent_image, "samples": model.get_model_object("latent_format").process_out(noisy)}


class NoisePivot(io.ComfyNode):
    """`noise_pivot` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_NoisePivot",
            display_name="Noise Pivot",
            category=CATEGORY,
            description="A pivot of the picture with fresh noise at every step (edit-friendly), with no guider call. "
            "Record Residual Noise makes a guider walk it back exactly.",
            is_experimental=True,
            inputs=[
                io.Model.Input("model", tooltip="The model that will sample: it tells how a picture is noised."),
                io.Sigmas.Input(
                    "sigmas",
                    tooltip="The schedule that will be sampled with, as the scheduler gives it. The low_sigmas of "
                    "SplitSigmas noise only part of the way.",
                ),
                io.Latent.Input("latent_image", tooltip="The picture, encoded by the VAE."),
                io.Int.Input(
                    "noise_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    optional=True,
                    tooltip="The noise of all steps. The same seed gives the same pivot on every machine.",
                ),
            ],
            outputs=[
                Pivot.Output(display_name="pivot", tooltip="The picture under each step's own noise."),
                NOISY_END,
            ],
        )

    @classmethod
    def execute(cls, model, sigmas, latent_image, noise_seed=0):
        check_sigmas(sigmas)
        pivot = noise_pivot(
            model_latent(model, latent_image),
            sigmas.flip(0),
            noise_seed,
            model_kind=model_kind(model),
            noise_scaling=noise_scaling(model),
            device=comfy.model_management.intermediate_device(),
        )
        return io.NodeOutput(pivot, noisy_end(model, pivot, latent_image))


class RecordTrajectory(io.ComfyNode):
    """The host's SamplerCustomAdvanced with a `TrajectorySampler`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_RecordTrajectory",
            display_name="Record Trajectory",
            category=CATEGORY,
            description="SamplerCustomAdvanced that also keeps the way from noise to the picture, at no further cost. "
            "Shift Pivot moves it onto the edited picture.",
            is_experimental=True,
            inputs=[
                io.Noise.Input("noise", tooltip="The noise that the scene is made from."),
                io.Guider.Input("guider", tooltip="The model and the prompt of the scene."),
                io.Sampler.Input(
                    "sampler",
                    tooltip="Any sampler that follows the schedule, such as euler or dpmpp_2m. dpm_fast and "
                    "dpm_adaptive choose sigmas of their own and are refused.",
                ),
                io.Sigmas.Input(
                    "sigmas", tooltip="The schedule of the scene, and later of sampling along the trajectory."
                ),
                io.Latent.Input("latent_image", tooltip="An empty latent, or a picture to start from."),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The scene, as SamplerCustomAdvanced gives it."),
                Pivot.Output(display_name="trajectory", tooltip="The way to it: a pivot of the scene."),
            ],
        )

    @classmethod
    def execute(cls, noise, guider, sampler, sigmas, latent_image):
        check_sigmas(sigmas)
        check_latent("latent_image", latent_image["samples"])
        check_control_family(guider, "guider")
        recording = TrajectorySampler(sampler)
        sampled = SamplerCustomAdvanced.execute(noise, guider, recording, sigmas, latent_image)
        return io.NodeOutput(sampled[0], recording.trajectory)


class ShiftPivot(io.ComfyNode):
    """`shift_pivot` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_ShiftPivot",
            display_name="Shift Pivot",
            category=CATEGORY,
            description="Moves a pivot onto an edited picture, such as the scene's trajectory onto the scene with the "
            "swapped face, with no guider call. Record Residual Noise makes a guider walk it back exactly.",
            is_experimental=True,
            inputs=[
                io.Model.Input("model", tooltip="The model that will sample, of the same kind as the pivot's."),
                Pivot.Input("pivot", tooltip="The pivot of the picture before the edit, from Record Trajectory, say."),
                io.Latent.Input("latent_image", tooltip="The edited picture, encoded by the VAE, of the same size."),
            ],
            outputs=[
                Pivot.Output(display_name="pivot", tooltip="The pivot, which now leads to the edited picture."),
                NOISY_END,
            ],
        )

    @classmethod
    def execute(cls, model, pivot, latent_image):
        check_model_kind(pivot.model_kind, model, "pivot")
        picture = model_latent(model, latent_image)
        if picture.shape != pivot.anchors.shape[1:]:
            raise ValueError(
                f"latent_image: its shape {tuple(picture.shape)} is not that of the pivot's picture "
                f"{tuple(pivot.anchors.shape[1:])}. Edit that picture without changing its size or batch."
            )
        shifted = shift_pivot(pivot, picture, noise_scaling=noise_scaling(model))
        return io.NodeOutput(shifted, noisy_end(model, shifted, latent_image))


NODES = [NoisePivot, RecordTrajectory, ShiftPivot]

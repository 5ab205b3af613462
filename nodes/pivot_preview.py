"""The pivot preview: the picture as the model foresees it at steps along a pivot."""

from comfy_api.latest import io, ui

from ..resinversion import denoised_estimates
from .checks import check_at_least, check_model_kind
from .inversion import CATEGORY
from .sockets import Pivot, ResidualNoise


def spread(steps: int, count: int) -> list[int]:
    """Which of `steps` steps to show, `count` of them at most: evenly spaced, the first and the last included."""
    count = min(count, steps)
    return [round(n * (steps - 1) / max(count - 1, 1)) for n in range(count)]


class PivotPreview(io.ComfyNode):
    """`denoised_estimates` as pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_PivotPreview",
            display_name="Pivot Preview",
            category=CATEGORY,
            description="Shows what a model foresees of the picture along an inversion: the denoised estimates at some "
            "of its steps, the noisiest first. No guider call.",
            inputs=[
                io.MultiType.Input(
                    "pivot",
                    [Pivot, ResidualNoise],
                    tooltip="Of a residual noise, the guider's recorded predictions are shown; of a pivot, those that "
                    "drove it. Noise Pivot was driven by none: record its residual noise first.",
                ),
                io.Model.Input("model", tooltip="The model that was inverted: it tells how its latents are scaled."),
                io.Vae.Input("vae", tooltip="Decodes the estimates."),
                io.Int.Input(
                    "count",
                    default=6,
                    min=2,
                    max=10000,
                    optional=True,
                    tooltip="How many steps are shown, evenly spaced, the noisiest and the last included; no more than "
                    "there are. Each is decoded by the VAE.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The estimates as a batch, the noisiest step first, each with the "
                    "pictures of its batch."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, pivot, model, vae, count=6):
        check_at_least("count", count, 2)
        check_model_kind(pivot.model_kind, model, "pivot")
        estimates = denoised_estimates(pivot).flip(0)[spread(pivot.steps, count)].flatten(0, 1)
        images = vae.decode(model.get_model_object("latent_format").process_out(estimates))
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))


NODES = [PivotPreview]

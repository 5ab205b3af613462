"""The pivot preview: the picture as the model foresees it at steps along a pivot."""

from comfy_api.latest import io, ui

from ..resinversion import denoised_estimates
from .checks import check_at_least, check_model_kind
from .inversion import CATEGORY
from .sockets import Pivot, ResidualNoise
from .sweep_values import parse_values, validate_values


def spread(steps: int, count: int) -> list[int]:
    """Which of `steps` steps to show, `count` of them at most: evenly spaced, the first and the last included."""
    count = min(count, steps)
    return [round(n * (steps - 1) / max(count - 1, 1)) for n in range(count)]


def chosen_steps(text: str, steps: int) -> list[int]:
    """The steps that a text such as "0, 10, 49" names, of `steps` steps, in its order.

    Raises ValueError for what `parse_values` refuses, and for a number that is no step, counted from 0.
    """
    numbers = parse_values(text, "steps")
    for number in numbers:
        if number % 1 or not 0 <= number < steps:
            raise ValueError(
                f"steps: {number} is none of the pivot's {steps} steps. Write whole numbers from 0 (the noisiest) to "
                f"{steps - 1}, or nothing for as many as count says, evenly spaced."
            )
    return [int(number) for number in numbers]


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
                io.String.Input(
                    "steps",
                    optional=True,
                    tooltip="Which steps are shown instead, the noisiest is 0: numbers and ranges start:end:step, "
                    "separated by commas, such as 0, 10, 20:49:5. Empty: as many as count says, evenly spaced.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The estimates as a batch, in the order of the steps, each with "
                    "the pictures of its batch."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, steps=None):
        return not steps or not steps.strip() or validate_values(steps, "steps")

    @classmethod
    def execute(cls, pivot, model, vae, count=6, steps=""):
        check_at_least("count", count, 2)
        check_model_kind(pivot.model_kind, model, "pivot")
        shown = chosen_steps(steps, pivot.steps) if steps.strip() else spread(pivot.steps, count)
        estimates = denoised_estimates(pivot).flip(0)[shown].flatten(0, 1)
        images = vae.decode(model.get_model_object("latent_format").process_out(estimates))
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))


NODES = [PivotPreview]

"""Similarity Plot: similarity against the value that a sweep changes, the paper's figure 10."""

import math

from comfy_api.latest import io, ui

from ..drawing.plots import as_image, draw_values
from .sweep_values import CATEGORY


class SimilarityPlot(io.ComfyNode):
    """`draw_values` as a node that gathers two lists."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_SimilarityPlot",
            display_name="Similarity Plot",
            category=CATEGORY,
            description="Plots similarity against the value that a sweep changes, such as start_step (MSS).",
            search_aliases=["xy plot", "graph", "chart", "curve"],
            is_input_list=True,
            inputs=[
                io.Float.Input("values", force_input=True, tooltip="What was changed: floats of Sweep Values."),
                io.Float.Input(
                    "similarities",
                    force_input=True,
                    tooltip="What came of it: similarity of Identity Similarity, one for each value.",
                ),
                io.String.Input(
                    "value_name",
                    default="start_step",
                    optional=True,
                    tooltip="What the values are, written below their axis.",
                ),
            ],
            outputs=[io.Image.Output(display_name="plot", tooltip="Similarity over values, 768 x 512.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, values, similarities, value_name=("start_step",)):
        if len(similarities) != len(values):
            raise ValueError(
                f"similarities: {len(similarities)} for {len(values)} in values. Connect both to one sweep, so that "
                "there is one for each."
            )
        for name, numbers in (("values", values), ("similarities", similarities)):
            if not all(map(math.isfinite, numbers)):
                raise ValueError(f"{name}: holds NaN or Inf, which has no place in a plot. Check where it comes from.")
        points = list(zip(values, similarities, strict=True))
        plot = draw_values(f"Identity similarity by {value_name[0]}", value_name[0], "similarity", points)
        image = as_image(plot)
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


NODES = [SimilarityPlot]

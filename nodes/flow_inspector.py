"""The flow inspector: how strong the three flows of a sampling are, step by step, as a plot."""

import torch
from comfy_api.latest import io, ui

from ..drawing.plots import as_image, draw_steps
from . import sockets
from .bimd import CATEGORY

PIVOT, BACKWARD, FORWARD = (
    "pivot flow: eps_pivot",
    "backward flow: b * residual noise",
    "forward flow: f * (eps_forward - eps_pivot)",
)


def stand_ins(at_anchor: torch.Tensor) -> str:
    """What the plot's rings are, in a sentence. at_anchor: (N,) bool, as in FlowNorms."""
    if not at_anchor.any():
        return "The pivot flow was asked at every step: all values are exact."
    return (
        f"At {int(at_anchor.sum())} of {len(at_anchor)} steps the forward flow alone was asked (its scale is 1). There "
        "eps_pivot is the one recorded at the pivot, not that of the step's own latent: the rings are exact where the "
        "forward flow sets in, and the less so the further the latent leaves the pivot. A forward_scale such as 0.99 "
        "makes all values exact, for another guider call each."
    )


class FlowInspector(io.ComfyNode):
    """A FlowNorms as a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FlowInspector",
            display_name="Flow Inspector",
            category=CATEGORY,
            description="Plots how strong the pivot, backward and forward flow were at each step of Triple-Flow "
            "Sample: where identity or scene wins, and what start_step and the scales do. No guider call.",
            inputs=[
                sockets.FlowNorms.Input(
                    "flow_norms",
                    tooltip="From Triple-Flow Sample. Where it asked the forward flow alone (scale 1), eps_pivot is "
                    "the one recorded at the pivot; the plot marks such steps with rings.",
                )
            ],
            outputs=[
                io.Image.Output(
                    display_name="plot", tooltip="Root mean square of each flow's share in the noise prediction."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, flow_norms):
        norms = {PIVOT: flow_norms.pivot, BACKWARD: flow_norms.backward, FORWARD: flow_norms.forward}
        if not torch.stack(list(norms.values())).isfinite().all():
            raise ValueError(
                "flow_norms: holds NaN or Inf, for a flow's model predicted them. Run the model in bf16 or fp32 "
                "(--bf16-unet, --fp32-unet) or lower the guider's cfg."
            )
        rings = flow_norms.at_anchor.nonzero().flatten().tolist()
        legend = ", rings: eps_pivot as recorded at the pivot" if rings else ""
        plot = draw_steps(
            f"Flow inspector: {len(flow_norms.pivot)} steps{legend}",
            "step, counted from the noisiest",
            "root mean square in the noise prediction, logarithmic",
            {name: norm.tolist() for name, norm in norms.items()},
            {PIVOT: rings, FORWARD: rings},
        )
        image = as_image(plot)
        both = {
            **ui.PreviewImage(image, cls=cls).as_dict(),
            **ui.PreviewText(stand_ins(flow_norms.at_anchor)).as_dict(),
        }
        return io.NodeOutput(image, ui=both)


NODES = [FlowInspector]

"""Nodes that show what happens: an inversion's error, a pivot's pictures, and the strength of the flows."""

import torch
from comfy_api.v0_0_2 import io, ui

from ..drawing.plots import as_image, draw_steps
from ..host.checked_node import CheckedNode
from ..host.estimates import decoded, denoised_estimates
from ..host.flow_norms import explain_rings
from ..host.number_lists import chosen_steps, spread_steps, validate_numbers
from ..host.previews import image_with_text
from ..host.sampling_errors import check_finite
from ..host.walk_back import summary, table, walk_back
from ..host.wiring import check_wiring
from ..resinversion import residual_noise as eq3_residual_noise
from .inputs import FLOWS, INVERSION, FlowNormsSocket, PivotSocket, ResidualNoiseSocket

PIVOT, BACKWARD, FORWARD = (
    "pivot flow: eps_pivot",
    "backward flow: b * residual noise",
    "forward flow: f * (eps_forward - eps_pivot)",
)


class InversionReportNode(CheckedNode):
    """`walk_back` as a node that shows what it measured."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_InversionReport",
            display_name="Inversion Report",
            category=INVERSION,
            description="Reconstructs an inverted picture and shows how far from the picture it ends and how far from "
            "the pivot each step is, with the guider calls and seconds that the reconstruction took (not the "
            "inversion).",
            inputs=[
                ResidualNoiseSocket.Input(
                    "residual_noise", tooltip="The picture's residual noise, as recorded by ResInversion."
                ),
                io.Guider.Input(
                    "guider",
                    tooltip="The pivot flow: the guider that the picture was inverted with. The node samples with it, "
                    "on the recorded schedule.",
                ),
                io.Boolean.Input(
                    "compare_plain",
                    default=True,
                    optional=True,
                    tooltip="Also sample without the residual noise, from the same noise, for comparison. This doubles "
                    "the guider calls: one more per step.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The reconstruction of the picture."),
                io.Image.Output(display_name="plot", tooltip="Error and residual noise by step."),
                io.String.Output(
                    display_name="report", tooltip="Errors, guider calls and seconds, and the numbers for each step."
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, residual_noise, guider, compare_plain=True):
        scales = {"reconstruction": 1.0}
        if compare_plain:
            scales["plain sampling"] = 0.0
        walks, samples = walk_back(guider, residual_noise, list(scales.values()))
        lines = [summary(name.capitalize(), walk) for name, walk in zip(scales, walks, strict=True)]
        lines.append("Errors are absolute, in the model's latent units.")
        shown = "\n".join([*lines, *check_wiring(guider, "guider")])

        residuals = eq3_residual_noise(residual_noise).flip(0).flatten(1)
        columns = {f"{name}, max error": walk.errors for name, walk in zip(scales, walks, strict=True)}
        columns["residual noise, RMS"] = residuals.square().mean(dim=1).sqrt()
        plot = draw_steps(
            f"Inversion report: {residual_noise.steps} steps, error {walks[0].errors[-1]:.2g} at the end",
            "steps taken, from the noise to the picture",
            "model's latent units, logarithmic",
            {name: column.tolist() for name, column in columns.items()},
        )
        image = as_image(plot)
        report = f"{shown}\n\n{table(residual_noise.sigmas.flip(0), columns)}"
        return io.NodeOutput({"samples": samples}, image, report, ui=image_with_text(image, shown, cls))


class PivotPreviewNode(CheckedNode):
    """`denoised_estimates` as pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_PivotPreview",
            display_name="Pivot Preview",
            category=INVERSION,
            description="Shows the model's prediction of the picture along an inversion: the denoised estimates at "
            "some of its steps, noisiest first. No guider calls.",
            inputs=[
                io.MultiType.Input(
                    "pivot",
                    [PivotSocket, ResidualNoiseSocket],
                    tooltip="From a residual noise, it shows the guider's recorded predictions; from a pivot, the "
                    "predictions that moved it. No prediction moved a Noise Pivot: record its residual noise first.",
                ),
                io.Model.Input("model", tooltip="The model that was inverted with: it defines how latents are scaled."),
                io.Vae.Input("vae", tooltip="Decodes the estimates."),
                io.Int.Input(
                    "count",
                    default=6,
                    min=2,
                    max=10000,
                    optional=True,
                    tooltip="How many steps to show, evenly spaced, including the noisiest and the last; at most all "
                    "of them. Each is decoded by the VAE.",
                ),
                io.String.Input(
                    "steps",
                    optional=True,
                    tooltip="Which steps to show instead; the noisiest is 0. Numbers and ranges start:end:step, "
                    "separated by commas, such as 0, 10, 20:49:5. Empty: count evenly spaced steps.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The estimates as one batch, in the order of the steps; for an "
                    "inverted batch, each step has all of its pictures."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, steps=None):
        return not steps or not steps.strip() or validate_numbers(steps, "steps")

    @classmethod
    def execute(cls, pivot, model, vae, count=6, steps=""):
        shown = chosen_steps(steps, pivot.steps) if steps.strip() else spread_steps(pivot.steps, count)
        estimates = denoised_estimates(pivot).flip(0)[shown].flatten(0, 1)
        images = decoded(vae, model.get_model_object("latent_format").process_out(estimates))
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))


class FlowInspectorNode(CheckedNode):
    """A FlowNorms as a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_FlowInspector",
            display_name="Flow Inspector",
            category=FLOWS,
            description="Plots how strong the pivot, backward and forward flows were at each step of Triple-Flow "
            "Sample: where identity or scene dominates, and what start_step and the scales do. No guider calls.",
            inputs=[
                FlowNormsSocket.Input(
                    "flow_norms",
                    tooltip="From Triple-Flow Sample. Where only the forward flow was evaluated (scale 1), eps_pivot "
                    "is the prediction recorded on the pivot; the plot marks such steps with rings.",
                )
            ],
            outputs=[
                io.Image.Output(
                    display_name="plot", tooltip="Root mean square of each flow's contribution to the noise prediction."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, flow_norms):
        norms = {PIVOT: flow_norms.pivot, BACKWARD: flow_norms.backward, FORWARD: flow_norms.forward}
        check_finite(torch.stack(list(norms.values())), "flow_norms")
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
        return io.NodeOutput(image, ui=image_with_text(image, explain_rings(flow_norms.at_anchor), cls))


NODES = [InversionReportNode, PivotPreviewNode, FlowInspectorNode]

"""The part that needs a running server: nodes that measure, and the routes for what was measured."""

import json

from aiohttp import web
from comfy_api.v0_0_2 import ComfyExtension, io, ui
from server import PromptServer
from support_pack import counters
from support_pack.extension import TestLatentDifference

from . import gauges
from .faces import GivenFaces, key_points, person

CATEGORY = "CustomEnhancer/rehearsal"
PICTURES = {"person": person, "key points": key_points}
OUTPUTS = [io.String.Output(display_name="text")]


class RehearsalPatched(io.ComfyNode):
    """How much of a MODEL, a CLIP and a CONTROL_NET came out of the files."""

    @classmethod
    def define_schema(cls):
        """Any of the three in; counts out, as JSON."""
        return io.Schema(
            node_id="RehearsalPatched",
            display_name="Patched (rehearsal)",
            category=CATEGORY,
            is_output_node=True,
            inputs=[
                io.Model.Input("model", optional=True),
                io.Clip.Input("clip", optional=True),
                io.ControlNet.Input("control_net", optional=True),
            ],
            outputs=OUTPUTS,
        )

    @classmethod
    def execute(cls, model=None, clip=None, control_net=None) -> io.NodeOutput:
        """Weights with patches, tensors of the control network."""
        counts = {}
        if model is not None:
            counts["UNet weights"] = len(model.patches)
        if clip is not None:
            counts["text encoder weights"] = len(clip.patcher.patches)
        if control_net is not None:
            counts["control tensors"] = len(control_net.control_model.state_dict())
        text = json.dumps(counts)
        return io.NodeOutput(text, ui=ui.PreviewText(text))


class RehearsalLatent(io.ComfyNode):
    """Whether a LATENT is finite, and its deviation in the space that the model denoises."""

    @classmethod
    def define_schema(cls):
        """A MODEL and its LATENT in; numbers out, as JSON."""
        return io.Schema(
            node_id="RehearsalLatent",
            display_name="Latent (rehearsal)",
            category=CATEGORY,
            is_output_node=True,
            inputs=[io.Model.Input("model"), io.Latent.Input("latent")],
            outputs=OUTPUTS,
        )

    @classmethod
    def execute(cls, model, latent) -> io.NodeOutput:
        """Measure it in float32."""
        samples = model.get_model_object("latent_format").process_in(latent["samples"].float())
        text = json.dumps({"finite": bool(samples.isfinite().all()), "deviation": samples.std().item()})
        return io.NodeOutput(text, ui=ui.PreviewText(text))


class RehearsalPicture(io.ComfyNode):
    """`person` and `key_points` as a node."""

    @classmethod
    def define_schema(cls):
        """Which of them."""
        return io.Schema(
            node_id="RehearsalPicture",
            display_name="Picture (rehearsal)",
            category=CATEGORY,
            inputs=[io.Combo.Input("kind", options=list(PICTURES))],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(cls, kind) -> io.NodeOutput:
        """Draw it."""
        return io.NodeOutput(PICTURES[kind]())


class RehearsalFaceAnalysis(io.ComfyNode):
    """`GivenFaces` as a node."""

    @classmethod
    def define_schema(cls):
        """Nothing in."""
        return io.Schema(
            node_id="RehearsalFaceAnalysis",
            display_name="Given Faces (rehearsal)",
            category=CATEGORY,
            inputs=[],
            outputs=[io.Custom("FACEANALYSIS").Output(display_name="face_analysis")],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        """Make one."""
        return io.NodeOutput(GivenFaces())


class RehearsalExtension(ComfyExtension):
    """Everything this pack adds to the host."""

    async def on_load(self) -> None:
        """Start measuring, and serve what is measured."""
        counters.install()
        measured = gauges.install()
        routes = PromptServer.instance.routes

        @routes.get("/customenhancer_rehearsal/nodes")
        async def nodes(request):
            prompt_id = request.query["prompt_id"]
            counts = counters.counts_of(prompt_id)
            return web.json_response(
                {node: {**taken, **counts.get(node, {})} for node, taken in measured.nodes[prompt_id].items()}
            )

        @routes.get("/customenhancer_rehearsal/held")
        async def held(request):
            return web.json_response(gauges.held())

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Its nodes, and the one that compares latents."""
        return [RehearsalPatched, RehearsalLatent, RehearsalPicture, RehearsalFaceAnalysis, TestLatentDifference]

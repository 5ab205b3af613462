"""The part of the support pack that needs a running server: its node, its route, and what it installs on load."""

from aiohttp import web
from comfy_api.v0_0_2 import ComfyExtension, io, ui
from server import PromptServer

from . import counters, failures
from .probe_nodes import PROBES
from .tiny_sdxl import register_tiny_sdxl


class TestLatentDifference(io.ComfyNode):
    """Largest absolute difference between two latents."""

    @classmethod
    def define_schema(cls):
        """Two latents in; the difference out, and in the prompt's history as text."""
        return io.Schema(
            node_id="TestLatentDifference",
            display_name="Latent Difference (test)",
            category="CustomEnhancer/test",
            description="The largest absolute difference between two latents. For tests only.",
            is_output_node=True,
            inputs=[
                io.Latent.Input("a", tooltip="One latent."),
                io.Latent.Input("b", tooltip="A latent of the same shape."),
            ],
            outputs=[io.Float.Output(display_name="max_abs_difference", tooltip="In the units of the latents.")],
        )

    @classmethod
    def execute(cls, a, b) -> io.NodeOutput:
        """Return max |a - b|; raise ValueError on different shapes, which would otherwise broadcast."""
        a, b = a["samples"], b["samples"]
        if a.shape != b.shape:
            raise ValueError(f"a and b are latents of different shapes: {tuple(a.shape)} and {tuple(b.shape)}.")
        difference = (a - b).abs().max().item()
        return io.NodeOutput(difference, ui=ui.PreviewText(repr(difference)))


class SupportExtension(ComfyExtension):
    """Everything this pack adds to the host."""

    async def on_load(self) -> None:
        """Register the stand-in model, start counting, and serve what was counted and what is asked for."""
        register_tiny_sdxl()
        counters.install()
        failures.install()
        routes = PromptServer.instance.routes
        routes.get("/customenhancer_test/counts")(_counts)
        routes.get("/customenhancer_test/memory")(_memory)
        routes.post("/customenhancer_test/fail")(_fail)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """What tests and the lab put into their graphs."""
        return [TestLatentDifference, *PROBES]


async def _counts(request):
    return web.json_response(counters.counts_of(request.query["prompt_id"]))


async def _memory(_):
    return web.json_response(failures.memory())


async def _fail(request):
    failures.arm(**await request.json())
    return web.json_response({})

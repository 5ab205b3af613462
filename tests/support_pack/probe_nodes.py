"""Nodes that look at what sockets carry, and that make what no stock node makes. For tests and the lab's fuzzer."""

import json

from comfy_api.v0_0_2 import io, ui

from . import probes


class TestDigest(io.ComfyNode):
    """What a value holds, as text in the prompt's history."""

    @classmethod
    def define_schema(cls):
        """Anything in; nothing out."""
        return io.Schema(
            node_id="TestDigest",
            display_name="Digest (test)",
            category="CustomEnhancer/test",
            description="Shapes, hash and finiteness of a value. For tests only.",
            is_output_node=True,
            inputs=[io.AnyType.Input("value", tooltip="Whatever a socket carries.")],
            outputs=[],
        )

    @classmethod
    def execute(cls, value) -> io.NodeOutput:
        """Put `probes.digest` into the history."""
        return io.NodeOutput(ui=ui.PreviewText(probes.as_text(value)))


class TestUntouchedPixels(io.ComfyNode):
    """How much pixels have changed where a mask says that none was touched."""

    @classmethod
    def define_schema(cls):
        """Two batches of pictures and the mask between them."""
        return io.Schema(
            node_id="TestUntouchedPixels",
            display_name="Untouched Pixels (test)",
            category="CustomEnhancer/test",
            description="The largest difference of two pictures where the mask is 0. For tests only.",
            is_output_node=True,
            inputs=[
                io.Image.Input("before", tooltip="The pictures."),
                io.Image.Input("after", tooltip="The same, changed."),
                io.Mask.Input("mask", tooltip="Where they were changed."),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, before, after, mask) -> io.NodeOutput:
        """Put `probes.untouched_difference` into the history."""
        return io.NodeOutput(ui=ui.PreviewText(repr(probes.untouched_difference(before, after, mask))))


class TestTensor(io.ComfyNode):
    """A tensor of any shape and dtype on every socket that carries one."""

    @classmethod
    def define_schema(cls):
        """Shape, dtype and contents; the same tensor on four sockets."""
        return io.Schema(
            node_id="TestTensor",
            display_name="Tensor (test)",
            category="CustomEnhancer/test",
            description="A tensor of any shape, as other packs' nodes may give it. For tests only.",
            inputs=[
                io.String.Input("shape", default="1,64,64,3", tooltip="Lengths, separated by commas."),
                io.Combo.Input(
                    "dtype", options=["float32", "float16", "bfloat16", "float64", "uint8"], tooltip="Of the numbers."
                ),
                io.Combo.Input(
                    "fill", options=["random", "zeros", "ones", "nan", "inf", "negative"], tooltip="The numbers."
                ),
                io.Int.Input("seed", default=0, tooltip="Of random numbers."),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="mask"),
                io.Latent.Output(display_name="latent"),
                io.Sigmas.Output(display_name="sigmas"),
            ],
        )

    @classmethod
    def execute(cls, shape, dtype, fill, seed) -> io.NodeOutput:
        """Return `probes.made` four times."""
        tensor = probes.made(shape, dtype, fill, seed)
        return io.NodeOutput(tensor, tensor, {"samples": tensor}, tensor)


class TestValue(io.ComfyNode):
    """A value that arrives by a link, as it bypasses every check of a widget."""

    @classmethod
    def define_schema(cls):
        """JSON in, what it means out."""
        return io.Schema(
            node_id="TestValue",
            display_name="Value (test)",
            category="CustomEnhancer/test",
            description="A number, text, list or null for any input. For tests only.",
            inputs=[io.String.Input("text", default="0", tooltip="JSON, and NaN, Infinity and -Infinity.")],
            outputs=[io.AnyType.Output(display_name="value")],
        )

    @classmethod
    def execute(cls, text) -> io.NodeOutput:
        """Read the JSON."""
        return io.NodeOutput(json.loads(text))


class TestClipVision(io.ComfyNode):
    """The image half of a CLIP in seconds, where those of the real depths take gigabytes."""

    @classmethod
    def define_schema(cls):
        """The width of its space in, a CLIP_VISION out."""
        return io.Schema(
            node_id="TestClipVision",
            display_name="CLIP Vision (test)",
            category="CustomEnhancer/test",
            description="A small CLIP_VISION with random weights. For tests only.",
            inputs=[io.Int.Input("width", default=1280, tooltip="Of its embeddings: 1280 is that of SDXL's CLIP.")],
            outputs=[io.ClipVision.Output(display_name="clip_vision")],
        )

    @classmethod
    def execute(cls, width) -> io.NodeOutput:
        """Return `probes.image_half`."""
        return io.NodeOutput(probes.image_half(width))


class TestFresh(io.ComfyNode):
    """Hands a value on; another `run` makes the host compute anew whatever comes after."""

    @classmethod
    def define_schema(cls):
        """Anything in, the same out."""
        return io.Schema(
            node_id="TestFresh",
            display_name="Fresh (test)",
            category="CustomEnhancer/test",
            description="Passes a value through. For tests only.",
            inputs=[
                io.AnyType.Input("value", tooltip="Whatever a socket carries."),
                io.Int.Input("run", default=0, tooltip="Change it and everything after it runs again."),
            ],
            outputs=[io.AnyType.Output(display_name="value")],
        )

    @classmethod
    def execute(cls, value, run) -> io.NodeOutput:
        """Return the value itself."""
        return io.NodeOutput(value)


PROBES = [TestDigest, TestUntouchedPixels, TestTensor, TestValue, TestClipVision, TestFresh]

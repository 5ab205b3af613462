"""The nodes the host sees: schema, tooltips and thin glue, one file per family."""

from comfy_api.latest import ComfyExtension, io

from . import bimd, face, instantid, inversion, photomaker, recordings, uninverted


class CustomEnhancerExtension(ComfyExtension):
    """Everything this pack adds to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The pack's node classes, in the order of the method."""
        return [
            *inversion.NODES,
            *uninverted.NODES,
            *recordings.NODES,
            *bimd.NODES,
            *face.NODES,
            *photomaker.NODES,
            *instantid.NODES,
        ]

"""The nodes the host sees: schema, tooltips and thin glue, one file per family."""

from comfy_api.latest import ComfyExtension, io

from . import (
    bimd,
    face,
    flow_inspector,
    instantid,
    inversion,
    inversion_report,
    null_text,
    photomaker,
    pivot_preview,
    recordings,
    renoise,
    triple_flow_sample,
    uninverted,
)


class CustomEnhancerExtension(ComfyExtension):
    """Everything this pack adds to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The pack's node classes, in the order of the method."""
        inversions = inversion, renoise, null_text, uninverted, recordings, inversion_report, pivot_preview
        flows = bimd, triple_flow_sample, flow_inspector
        families = *inversions, *flows, face, photomaker, instantid
        return [node for family in families for node in family.NODES]

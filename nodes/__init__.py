"""The nodes the host sees: schema, tooltips and thin glue, one file per family."""

from comfy_api.latest import ComfyExtension, io

from . import (
    bimd,
    contact_sheet,
    faces,
    flow_inspector,
    identity_similarity,
    instantid,
    inversion,
    inversion_report,
    null_text,
    photomaker,
    pivot_preview,
    recordings,
    renoise,
    similarity_plot,
    sweep_values,
    triple_flow_sample,
    uninverted,
)


class CustomEnhancerExtension(ComfyExtension):
    """Everything this pack adds to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The pack's node classes, in the order of the method."""
        inversions = inversion, renoise, null_text, uninverted, recordings, inversion_report, pivot_preview
        flows = bimd, triple_flow_sample, flow_inspector
        seeing = identity_similarity, sweep_values, contact_sheet, similarity_plot
        families = *inversions, *flows, faces, photomaker, instantid, *seeing
        return [node for family in families for node in family.NODES]

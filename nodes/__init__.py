"""The nodes the host sees: schema and execute, nothing else, grouped by what a person looks for."""

from comfy_api.v0_0_2 import ComfyExtension, io

from . import (
    baselines,
    face_loaders,
    face_swap,
    faces,
    flows,
    identity_similarity,
    instantid,
    inversion,
    photomaker,
    picture_scores,
    pivots,
    recordings,
    saved_faces,
    seeing,
    sweeps,
)


class CustomEnhancerExtension(ComfyExtension):
    """Everything this pack adds to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The pack's node classes, in the order of the method."""
        inversions = inversion, baselines, pivots, recordings
        of_faces = face_loaders, face_swap, faces, saved_faces
        scores = identity_similarity, picture_scores
        families = *inversions, flows, *of_faces, photomaker, instantid, seeing, *scores, sweeps
        return [node for family in families for node in family.NODES]

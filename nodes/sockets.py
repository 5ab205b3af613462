"""Sockets that the host's API does not have, shared by this pack's node families."""

from comfy_api.latest import io

Pivot = io.Custom("CE_PIVOT")
ResidualNoise = io.Custom("CE_RESIDUAL_NOISE")
FlowNorms = io.Custom("CE_FLOW_NORMS")
# The name that other identity packs use for an InsightFace FaceAnalysis, so that their nodes and ours connect.
FaceAnalysis = io.Custom("FACEANALYSIS")


def curve_input(name: str, tooltip: str) -> io.Input:
    """An optional input for the host's CURVE, open unless it is connected.

    The host's own io.Curve.Input is an editor inside the node, which is never open.
    """
    return io.Custom(io.Curve.io_type).Input(name, optional=True, tooltip=tooltip, extra_dict={"forceInput": True})

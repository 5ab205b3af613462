"""Sockets that the host does not have, shared by this pack's node families."""

from comfy_api.latest import io

Pivot = io.Custom("CE_PIVOT")
ResidualNoise = io.Custom("CE_RESIDUAL_NOISE")
FlowNorms = io.Custom("CE_FLOW_NORMS")
# The name that other identity packs use for an InsightFace FaceAnalysis, so that their nodes and ours connect.
FaceAnalysis = io.Custom("FACEANALYSIS")

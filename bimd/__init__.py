"""Bidirectionally manipulated diffusion: three flows in one sampling (the paper's section III-C). Torch only."""

from .flow_norms import FlowNorms, flow_shares
from .sampling import sample_bimd
from .triple_flow import TripleFlow, forward_scales

__all__ = ["FlowNorms", "TripleFlow", "flow_shares", "forward_scales", "sample_bimd"]

"""Bidirectionally manipulated diffusion: three flows in one sampling (the paper's section III-C). Torch only."""

from .sampling import sample_bimd
from .triple_flow import TripleFlow, forward_scales

__all__ = ["TripleFlow", "forward_scales", "sample_bimd"]

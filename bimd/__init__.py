"""Bidirectionally manipulated diffusion: three flows in one sampling (the paper's section III-C). Torch only."""

from .sampling import sample_bimd
from .scales import forward_scales
from .triple_flow import TripleFlow

__all__ = ["TripleFlow", "forward_scales", "sample_bimd"]

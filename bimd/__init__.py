"""Bidirectionally manipulated diffusion: three flows in one sampling (the paper's section III-C). Torch only."""

from .flows import BlendedFlows
from .sampling import sample_bimd
from .scales import forward_scales
from .update import bimd_step, blend_flows

__all__ = ["BlendedFlows", "bimd_step", "blend_flows", "forward_scales", "sample_bimd"]

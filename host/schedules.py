"""SIGMAS as nodes take them: checked, and whole again where a stock sampler has spoiled them."""

import logging

import torch
from torch import Tensor

from .checks import check_sigmas

# What the host's uni_pc (comfy/extra_samplers/uni_pc.py, 0.30) writes over the 0 at the end of the tensor that it is
# given. On a CPU that is the scheduler's own cached output, which every other node then gets.
SPOILED_END = 0.001


def whole_sigmas(sigmas: Tensor) -> Tensor:
    """A copy of SIGMAS, (N + 1,), that ends at the 0 which uni_pc has overwritten; others are copied as they are."""
    sigmas = sigmas.clone()
    if len(sigmas) > 1 and sigmas[-1] == torch.tensor(SPOILED_END).to(sigmas):
        logging.info(
            "CustomEnhancer: sigmas ends at %g, which the sampler uni_pc writes over the schedule's 0; taken as 0.",
            SPOILED_END,
        )
        sigmas[-1] = 0
    return sigmas


def checked_sigmas(sigmas: Tensor) -> Tensor:
    """`whole_sigmas` of a schedule to invert along. Raises ValueError where `check_sigmas` refuses them."""
    sigmas = whole_sigmas(sigmas)
    check_sigmas(sigmas)
    return sigmas

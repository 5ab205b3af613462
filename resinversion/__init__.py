"""Exact, fast inversion of a picture: DDIM inversion (the pivot) and ResInversion (its residual noise). Torch only."""

from .ddim import EVALUATE_AT, ddim_inversion
from .renoise import renoise_inversion
from .residual_noise import record_residual_noise, res_inversion
from .trajectory import Pivot, ResidualNoise, to_d

__all__ = [
    "EVALUATE_AT",
    "Pivot",
    "ResidualNoise",
    "ddim_inversion",
    "record_residual_noise",
    "renoise_inversion",
    "res_inversion",
    "to_d",
]

"""Exact, fast inversion of a picture: DDIM inversion (the pivot) and ResInversion (its residual noise). Torch only."""

from .ddim import EVALUATE_AT, ddim_inversion
from .residual_noise import record_residual_noise, res_inversion
from .trajectory import Pivot, ResidualNoise, to_d
from .uninverted import noise_pivot, shift_pivot

__all__ = [
    "EVALUATE_AT",
    "Pivot",
    "ResidualNoise",
    "ddim_inversion",
    "noise_pivot",
    "record_residual_noise",
    "res_inversion",
    "shift_pivot",
    "to_d",
]

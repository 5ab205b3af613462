"""Inversion of a picture: pivots (DDIM inversion, ReNoise), residual noise along them, null text. Torch only."""

from .ddim import EVALUATE_AT, ddim_inversion
from .estimates import denoised_estimates
from .noise_regularisation import check_can_regularise
from .normal_tensors import NormalTensors
from .null_text import NullText, null_text_inversion
from .renoise import renoise_inversion
from .residual_noise import record_residual_noise, res_inversion
from .trajectory import Pivot, ResidualNoise, to_d
from .uninverted import noise_pivot, shift_pivot

__all__ = [
    "EVALUATE_AT",
    "NormalTensors",
    "NullText",
    "Pivot",
    "ResidualNoise",
    "check_can_regularise",
    "ddim_inversion",
    "denoised_estimates",
    "noise_pivot",
    "null_text_inversion",
    "record_residual_noise",
    "renoise_inversion",
    "res_inversion",
    "shift_pivot",
    "to_d",
]

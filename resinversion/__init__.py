"""ResInversion, the paper's section III-B: a pivot, and the residual noise that walks back along it. Torch only."""

from .inversion import EVALUATE_AT, ddim_inversion, ddim_walk, record_residual_noise, res_inversion
from .recording import Pivot, Recording, empty_record, residual_noise, to_d

__all__ = [
    "EVALUATE_AT",
    "Pivot",
    "Recording",
    "ddim_inversion",
    "ddim_walk",
    "empty_record",
    "record_residual_noise",
    "res_inversion",
    "residual_noise",
    "to_d",
]

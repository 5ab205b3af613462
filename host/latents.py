"""LATENTs in a MODEL's own space and back, for pivots that are made without running the model."""

import comfy.sample
import torch

from ..resinversion import Pivot
from .inversion import noisy_latent


def noise_scaling(model):
    """A MODEL's own noise scaling as `noise_pivot` and `shift_pivot` take it: (sigma, noise, x) -> x at sigma."""
    return model.get_model_object("model_sampling").noise_scaling


def model_latent(model, latent_image: dict) -> torch.Tensor:
    """The picture of a LATENT in a MODEL's own space, (B, C, H, W) float32."""
    samples = comfy.sample.fix_empty_latent_channels(model, latent_image["samples"])
    return model.get_model_object("latent_format").process_in(samples.float())


def noisy_end(model, pivot: Pivot, latent_image: dict) -> dict:
    """LATENT of a pivot's noisy end, with all else that `latent_image` holds."""
    noisy = noisy_latent(model.get_model_object("model_sampling"), pivot.sigmas[-1], pivot.anchors[-1])
    return {**latent_image, "samples": model.get_model_object("latent_format").process_out(noisy)}

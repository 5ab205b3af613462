"""Schedules, latents, inversion and sampling in the host, each as its node does it."""

import torch
from comfy import samplers
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode
from customenhancer.nodes.inversion import ResInversionNode

SCALE = 0.13025  # of SDXL's latents: what the model sees of a latent of the VAE


def schedule(model, steps=20, scheduler="normal"):
    """SIGMAS of a stock scheduler for a MODEL, descending, (steps + 1,)."""
    return samplers.calculate_sigmas(model.get_model_object("model_sampling"), scheduler, steps)


def picture(batch=1, seed=0):
    """A LATENT (batch, 4, 8, 8) as a VAE encodes a picture, of about unit variance once in the model's space."""
    return {"samples": torch.randn(batch, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) / SCALE}


def invert(flow, sigmas, latent, **options):
    """ResInversion: (residual noise, noisy latent)."""
    residual_noise, noisy = ResInversionNode.execute(flow, sigmas, latent, **options).result
    return residual_noise, noisy


def triple_flow(pivot_flow, forward_flow, **options):
    """The GUIDER of two flows."""
    return TripleFlowGuiderNode.execute(pivot_flow, forward_flow, **options).result[0]


def bimd(residual_noise, **options):
    """The SAMPLER that adds the backward flow."""
    return BiMDSamplerNode.execute(residual_noise, **options).result[0]


def sample(flow, sampler, sigmas, latent, noise=None):
    """The samples that SamplerCustomAdvanced gives. sampler: a SAMPLER or a stock one's name; noise: none if None."""
    if isinstance(sampler, str):
        sampler = samplers.sampler_object(sampler)
    noise = noise or DisableNoise.execute().result[0]
    return SamplerCustomAdvanced.execute(noise, flow, sampler, sigmas, latent).result[0]["samples"]


def sample_back(flow, residual_noise, sigmas, latent, noise=None, **options):
    """The samples at the end of the way back along a residual noise. options: of the BiMD sampler."""
    return sample(flow, bimd(residual_noise, **options), sigmas, latent, noise)


def max_error(samples, latent):
    """The greatest distance of samples from a LATENT, in the model's own space."""
    return (samples - latent["samples"]).abs().max().item() * SCALE

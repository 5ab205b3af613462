"""The methods that are measured: each inverts a subject's picture and says how to sample back from it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import comfy.k_diffusion.sampling
import comfy.samplers
import torch
from comfy_extras.nodes_custom_sampler import FlipSigmas, RandomNoise
from customenhancer.host.bimd_sampler import BiMDSampler
from torch import Tensor

from benchmarks import direct_inversion as direct
from benchmarks import ledits_pp
from benchmarks.nodes import node
from benchmarks.subjects import Subject, sample


@dataclass(frozen=True)
class Inverted:
    """guider, sampler: what samples back along the schedule from `latent`, a LATENT.

    pivot: (N + 1, B, C, H, W), the inversion's own way, from the picture up, in the model's latent space.
    """

    guider: object
    sampler: object
    latent: dict
    pivot: Tensor


def euler():
    """The host's Euler sampler."""
    return comfy.samplers.sampler_object("euler")


def ddim(subject: Subject, sigmas: Tensor, cfg: float, **options) -> Inverted:
    """DDIM inversion, then Euler: what the others are compared with."""
    guider = subject.guider(cfg)
    pivot, latent = node("CE_DDIMInversion").execute(guider, sigmas, subject.latent, **options).result
    return Inverted(guider, euler(), latent, pivot.anchors)


def negative_prompt(subject: Subject, sigmas: Tensor, cfg: float) -> Inverted:
    """Negative-prompt inversion: DDIM inversion, and the prompt itself for the negative one."""
    guider = subject.guider(cfg, negative=subject.positive)
    pivot, latent = node("CE_DDIMInversion").execute(guider, sigmas, subject.latent, evaluate_at="target").result
    return Inverted(guider, euler(), latent, pivot.anchors)


def res_inversion(subject: Subject, sigmas: Tensor, cfg: float, **options) -> Inverted:
    """ResInversion, then BiMD with the backward flow alone."""
    guider = subject.guider(cfg)
    residual_noise, latent = node("CE_ResInversion").execute(guider, sigmas, subject.latent, **options).result
    return Inverted(guider, BiMDSampler(residual_noise, 1.0), latent, residual_noise.anchors)


def renoise(subject: Subject, sigmas: Tensor, cfg: float, **options) -> Inverted:
    """ReNoise with the original's one iteration for SDXL, then Euler."""
    guider = subject.guider(cfg)
    pivot, latent = node("CE_ReNoiseInversion").execute(guider, sigmas, subject.latent, **options).result
    return Inverted(guider, euler(), latent, pivot.anchors)


def noise_pivot(subject: Subject, sigmas: Tensor, cfg: float, steps_per_call: int = 1) -> Inverted:
    """Residual noise along seeded noise, which takes no inversion, then BiMD."""
    guider = subject.guider(cfg)
    pivot, latent = node("CE_NoisePivot").execute(subject.model, sigmas, subject.latent).result
    residual_noise = node("CE_RecordResidualNoise").execute(guider, pivot, steps_per_call).result[0]
    return Inverted(guider, BiMDSampler(residual_noise, 1.0), latent, residual_noise.anchors)


def trajectory_pivot(subject: Subject, sigmas: Tensor, cfg: float, steps_per_call: int = 1) -> Inverted:
    """Residual noise along the way on which a scene was generated, moved onto the picture, then BiMD."""
    guider = subject.guider(cfg)
    empty = {"samples": torch.zeros_like(subject.latent["samples"])}
    noise = RandomNoise.execute(0).result[0]
    trajectory = node("CE_RecordTrajectory").execute(noise, guider, euler(), sigmas, empty).result[1]
    pivot, latent = node("CE_ShiftPivot").execute(subject.model, trajectory, subject.latent).result
    residual_noise = node("CE_RecordResidualNoise").execute(guider, pivot, steps_per_call).result[0]
    return Inverted(guider, BiMDSampler(residual_noise, 1.0), latent, residual_noise.anchors)


def null_text(subject: Subject, sigmas: Tensor, cfg: float) -> Inverted:
    """Null-text inversion with the original's numbers, then Euler with each step's text."""
    guider, latent = (
        node("CE_NullTextInversion")
        .execute(subject.model, subject.positive, subject.negative, sigmas, subject.latent, cfg=cfg)
        .result
    )
    return Inverted(guider, euler(), latent, guider.null_text.anchors)


class FunctionSampler(comfy.samplers.Sampler):
    """function(model, x, sigmas, extra_args) -> x as a SAMPLER; sigmas (N + 1,) as the graph gives them."""

    def __init__(self, function: Callable[..., Tensor]):
        self.function = function

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Run the function on latent_image, (B, C, H, W), in the model's latent space."""
        return self.function(model_wrap, latent_image, sigmas, extra_args)


def direct_inversion(subject: Subject, sigmas: Tensor, cfg: float) -> Inverted:
    """Direct Inversion: an unguided inversion, then a guided pass that records the offsets."""
    recorded = {}

    def invert(model, x, sigmas, extra_args):
        ascending = sigmas.flip(0)
        recorded["scale"] = (1 + ascending**2).sqrt()
        recorded["trajectory"] = direct.invert(model, x, ascending, extra_args)
        return recorded["trajectory"][-1] * recorded["scale"][-1]

    def record(model, x, sigmas, extra_args):
        recorded["offsets"] = direct.record_offsets(model, recorded["trajectory"], sigmas.flip(0), extra_args)
        return x

    def sample_back(model, x, sigmas, extra_args):
        return direct.sample(model, x / recorded["scale"][-1], recorded["offsets"], sigmas.flip(0), extra_args)

    guider = subject.guider(cfg)
    latent = sample(subject.guider(1.0), FunctionSampler(invert), sigmas, subject.latent)
    sample(guider, FunctionSampler(record), sigmas, latent)
    pivot = recorded["trajectory"] * recorded["scale"].reshape(-1, 1, 1, 1, 1)
    return Inverted(guider, FunctionSampler(sample_back), latent, pivot)


def ledits(subject: Subject, sigmas: Tensor, cfg: float, order: int = 2) -> Inverted:
    """LEDITS++'s inversion, its sampler's noises recorded under the guidance that samples back."""
    recorded = {}

    def invert(model, x, sigmas, extra_args):
        ascending = sigmas.flip(0)
        recorded["scale"] = (1 + ascending**2).sqrt()
        recorded["way"], recorded["noises"] = ledits_pp.invert(model, x, ascending, extra_args, order=order)
        return recorded["way"][-1] * recorded["scale"][-1]

    def sample_back(model, x, sigmas, extra_args):
        z = x / recorded["scale"][-1]
        return ledits_pp.sample(model, z, recorded["noises"], sigmas.flip(0), extra_args, order)

    guider = subject.guider(cfg)
    latent = sample(guider, FunctionSampler(invert), sigmas, subject.latent)
    pivot = recorded["way"] * recorded["scale"].reshape(-1, 1, 1, 1, 1)
    return Inverted(guider, FunctionSampler(sample_back), latent, pivot)


def flip_sigmas(subject: Subject, sigmas: Tensor, cfg: float) -> Inverted:
    """The host's own unsampling, FlipSigmas and Euler without guidance, then Euler."""
    way = []

    def unsample(model, x, sigmas, extra_args=None, callback=None, disable=None):
        def keep(step: dict) -> None:
            way.append(step["x"])
            callback(step)

        way.append(comfy.k_diffusion.sampling.sample_euler(model, x, sigmas, extra_args, keep, disable))
        return way[-1]

    upwards = FlipSigmas.execute(sigmas).result[0]
    latent = sample(subject.guider(1.0), comfy.samplers.KSAMPLER(unsample), upwards, subject.latent)
    return Inverted(subject.guider(cfg), euler(), latent, torch.stack(way))


BASELINE, OURS, NULL_TEXT = "DDIM inversion", "ResInversion", "Null-text inversion"
METHODS = {
    BASELINE: ddim,
    "DDIM inversion, at the target": partial(ddim, evaluate_at="target"),
    "Negative-prompt inversion": negative_prompt,
    OURS: res_inversion,
    "ResInversion, at the target": partial(res_inversion, evaluate_at="target"),
    "ReNoise, 1 iteration": renoise,
    "ReNoise, 1 iteration, regularised": partial(renoise, regularisation_steps=4),
    "Noise pivot": noise_pivot,
    "Noise pivot, 10 steps a call": partial(noise_pivot, steps_per_call=10),
    "Trajectory pivot": trajectory_pivot,
    "Trajectory pivot, 10 steps a call": partial(trajectory_pivot, steps_per_call=10),
    NULL_TEXT: null_text,
    "Direct Inversion": direct_inversion,
    "LEDITS++": ledits,
    "LEDITS++, DDIM": partial(ledits, order=1),
    "FlipSigmas and euler": flip_sigmas,
}

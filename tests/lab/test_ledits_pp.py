"""The benchmark's LEDITS++: against diffusers' own functions, and the way back through the host."""

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from diffusers.pipelines.ledits_pp.pipeline_leditspp_stable_diffusion_xl import compute_noise
from helpers.lab import gaussian_subject

from benchmarks import ledits_pp
from benchmarks.methods import ledits
from benchmarks.subjects import sample

STEPS = 20
CONFIG = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
SCHEDULERS = {  # by the order; both end at sigma 0
    1: (DDIMScheduler, {"set_alpha_to_one": True, "clip_sample": False}),
    2: (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++", "final_sigmas_type": "zero"}),
}


def predicted_noise(z, sigma):
    """What a network might see in z."""
    return torch.tanh(z.roll(1, -1)) * (0.5 + sigma / (1 + sigma)) + 0.1


@pytest.mark.parametrize("order", [1, 2])
def test_trajectory_and_noises_equal_those_of_diffusers(order):
    kind, more = SCHEDULERS[order]
    scheduler = kind(**CONFIG, **more)
    scheduler.set_timesteps(STEPS)
    alpha_bars = scheduler.alphas_cumprod[scheduler.timesteps.flip(0)]
    sigmas = torch.cat([torch.zeros(1), ((1 - alpha_bars) / alpha_bars).sqrt()])
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    way = ledits_pp.noised(z, sigmas, seed=3)
    noises = [None] * STEPS
    for k, t in enumerate(scheduler.timesteps):
        i = STEPS - k
        noises[i - 1], way[i - 1] = compute_noise(
            scheduler, way[i - 1], way[i], t, predicted_noise(way[i], sigmas[i]), 1.0
        )

    def model(x, sigma):
        return x - sigma[0] * predicted_noise(x / (1 + sigma[0] ** 2).sqrt(), sigma[0])

    our_way, our_noises = ledits_pp.invert(model, z, sigmas, {}, seed=3, order=order)
    # Diffusers' function divides by 0 in the last step of order 2; its scheduler takes that step as ours is taken.
    torch.testing.assert_close(our_way[1:], way[1:], rtol=1e-3, atol=1e-3)
    picture = scheduler.add_noise(torch.zeros_like(z), -predicted_noise(way[1], sigmas[1]), t[None]) + way[1]
    torch.testing.assert_close(our_way[0], picture / alpha_bars[0].sqrt(), rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(our_noises, noises, strict=True):
        torch.testing.assert_close(ours, theirs.expand_as(ours), rtol=1e-3, atol=5e-3)
    torch.testing.assert_close(ledits_pp.sample(model, our_way[-1], our_noises, sigmas, {}, order), our_way[0])


def test_every_step_of_the_trajectory_is_the_picture_under_independent_noise():
    z, sigmas = torch.full((1, 4, 64, 64), 2.0), torch.tensor([0.0, 0.5, 3.0])
    way = ledits_pp.noised(z, sigmas, seed=1)
    noises = [(way[i] * (1 + sigmas[i] ** 2).sqrt() - 2) / sigmas[i] for i in (1, 2)]
    assert torch.equal(way[0], z) and torch.equal(ledits_pp.noised(z, sigmas, seed=1), way)
    assert all(abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05 for noise in noises)
    assert abs((noises[0] * noises[1]).mean()) < 0.05


@pytest.mark.parametrize("order", [1, 2])
def test_sampling_back_misses_only_the_noise_of_the_last_step(order):
    """On a Gaussian it is what the model denoises the first noised picture to."""
    with torch.inference_mode():
        subject = gaussian_subject()
        sigmas = subject.sigmas(20)
        inverted = ledits(subject, sigmas, 5.0, order)
        samples = sample(inverted.guider, inverted.sampler, sigmas, inverted.latent)["samples"] * 0.13025
        torch.testing.assert_close(samples, inverted.pivot[0].to(samples), rtol=1e-3, atol=1e-3)
        last_step = (inverted.pivot[0] - subject.latent["samples"] * 0.13025).abs().max()
    assert 0 < last_step < 5 * sigmas[-2]

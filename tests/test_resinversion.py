"""DDIM inversion and ResInversion as functions: exactness, cost, and references that share no code with them."""

from types import MappingProxyType

import pytest
import torch
from comfy import model_sampling, samplers
from customenhancer.bimd import sample_bimd
from customenhancer.resinversion import ddim_inversion, record_residual_noise, res_inversion
from diffusers import DDIMInverseScheduler, DDIMScheduler
from hypothesis import assume, given, settings
from hypothesis import strategies as st

KIND = "stand-in, EPS prediction"


class Counted:
    """A model that counts its calls."""

    def __init__(self, model):
        self.model = model
        self.calls = 0

    def __call__(self, x, sigma, **extra_args):
        self.calls += 1
        return self.model(x, sigma, **extra_args)


def chaotic_model(seed, channels=4, gain=6.0):
    """A random predictor whose noise prediction swings through many periods of a sine as x moves by one unit."""
    weight = torch.randn(channels, channels, 3, 3, generator=torch.Generator().manual_seed(seed)) * gain

    def model(x, sigma):
        sigma = sigma.reshape(-1, 1, 1, 1)
        features = torch.nn.functional.conv2d(x / (sigma**2 + 1) ** 0.5, weight, padding=1)
        return x - sigma * (torch.sin(features + sigma) + torch.cos(3 * features))

    return model


def schedule(name, steps):
    """Ascending sigmas of one of the host's schedulers on SDXL's noise schedule."""
    sampling = model_sampling.ModelSamplingDiscrete()
    return samplers.calculate_sigmas(sampling, name, steps).flip(0)


def picture(seed, batch=1, size=8):
    return torch.randn(batch, 4, size, size, generator=torch.Generator().manual_seed(seed))


def reconstruct(model, recorded, **options):
    return sample_bimd(model, recorded.anchors, recorded.predictions, recorded.sigmas.flip(0), **options)


@pytest.mark.parametrize("name", ["karras", "sgm_uniform", "normal", "ddim_uniform"])
@pytest.mark.parametrize("steps", [1, 4, 8, 20, 50])
def test_a_chaotic_model_gives_the_picture_back(name, steps, measured):
    """The record alone decides: a model that amplifies every error gives the picture back to 1e-5."""
    model, x = chaotic_model(steps), picture(1, batch=3)
    recorded = res_inversion(model, x, schedule(name, steps), model_kind=KIND)
    error = (reconstruct(model, recorded) - x).abs().max().item()
    measured(f"reconstruction error, chaotic predictor, batch 3, {name}, {steps} steps", error)
    assert error <= 1e-5


@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 60),
    batch=st.integers(1, 3),
    name=st.sampled_from(samplers.SCHEDULER_NAMES),
    evaluate_at=st.sampled_from(["current", "target"]),
)
@settings(max_examples=40, deadline=None)
def test_reconstruction_is_exact_for_any_schedule(seed, steps, batch, name, evaluate_at):
    model, x, sigmas = chaotic_model(seed), picture(seed, batch), schedule(name, steps)
    assume(sigmas.isfinite().all())  # the host's kl_optimal divides by zero at one step
    recorded = res_inversion(model, x, sigmas, model_kind=KIND, evaluate_at=evaluate_at)
    assert recorded.anchors.shape == (len(sigmas), *x.shape)
    assert (reconstruct(model, recorded) - x).abs().max() <= 1e-5


def test_without_residual_noise_the_picture_is_lost():
    """The property above is not trivial: the same model without the backward flow does not come back."""
    model, x = chaotic_model(0), picture(0)
    recorded = res_inversion(model, x, schedule("normal", 20), model_kind=KIND)
    assert (reconstruct(model, recorded, backward_scale=0.0) - x).abs().max() > 0.5


def test_a_recorded_residual_walks_back_along_the_pivot():
    """Eq. 3 as written: x*_{i-1} = x*_i + (s_{i-1} - s_i) (eps(x*_i, s_i) + r_i)."""
    model, sigmas = chaotic_model(3), schedule("normal", 12)
    recorded = res_inversion(model, picture(3), sigmas, model_kind=KIND)
    residual_noise = recorded.residual_noise()
    for i in range(1, recorded.steps + 1):
        x, sigma = recorded.anchors[i], sigmas[i]
        eps = (x - model(x, sigma[None])) / sigma
        back = x + (sigmas[i - 1] - sigma) * (eps + residual_noise[i - 1])
        torch.testing.assert_close(back, recorded.anchors[i - 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_model_calls(steps):
    """One pass costs N + 1 calls, a pivot alone N, a record along a given pivot N, the target convention 2N."""
    x, sigmas = picture(5), schedule("normal", steps)
    pivot = ddim_inversion(chaotic_model(5), x, sigmas, model_kind=KIND)
    costs = {}
    for name, invert in {
        "ddim": lambda model: ddim_inversion(model, x, sigmas, model_kind=KIND),
        "res": lambda model: res_inversion(model, x, sigmas, model_kind=KIND),
        "res at target": lambda model: res_inversion(model, x, sigmas, model_kind=KIND, evaluate_at="target"),
        "record": lambda model: record_residual_noise(model, pivot),
    }.items():
        model = Counted(chaotic_model(5))
        invert(model)
        costs[name] = model.calls
    assert costs == {"ddim": steps, "res": steps + 1, "res at target": 2 * steps, "record": steps}


def test_one_pass_records_what_two_passes_do():
    model, x, sigmas = chaotic_model(7), picture(7), schedule("karras", 20)
    pivot = ddim_inversion(model, x, sigmas, model_kind=KIND)
    two_passes, one_pass = record_residual_noise(model, pivot), res_inversion(model, x, sigmas, model_kind=KIND)
    assert torch.equal(one_pass.anchors, pivot.anchors)
    assert torch.equal(one_pass.predictions, two_passes.predictions)


def test_the_conditional_part_moves_the_pivot_and_the_guided_part_is_recorded():
    guided, conditional = chaotic_model(8), chaotic_model(9)
    heard = []

    def model(x, sigma):
        heard.append(conditional(x, sigma))
        return guided(x, sigma)

    x, sigmas = picture(8), schedule("normal", 10)
    recorded = res_inversion(model, x, sigmas, model_kind=KIND, pivot_denoised=lambda denoised: heard[-1])
    assert torch.equal(recorded.anchors, ddim_inversion(conditional, x, sigmas, model_kind=KIND).anchors)
    assert (reconstruct(guided, recorded) - x).abs().max() <= 1e-5


def test_partial_inversion_is_the_start_of_the_whole():
    """The low sigmas of a schedule (SplitSigmas) give the same pivot as the whole schedule up to there."""
    model, x, sigmas = chaotic_model(10), picture(10), schedule("normal", 20)
    whole = res_inversion(model, x, sigmas, model_kind=KIND)
    part = res_inversion(model, x, sigmas[:8], model_kind=KIND)
    assert torch.equal(part.anchors, whole.anchors[:8])
    assert torch.equal(part.predictions, whole.predictions[:7])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_model_is_inverted_in_float32(dtype):
    """A model that answers in half precision is met with float32 everywhere else, so nothing drifts or overflows."""
    chaotic = chaotic_model(11)

    def model(x, sigma):
        assert x.dtype == torch.float32
        return chaotic(x, sigma).to(dtype)

    x = picture(11)
    recorded = res_inversion(model, x.to(dtype), schedule("normal", 20), model_kind=KIND)
    assert {t.dtype for t in (recorded.sigmas, recorded.anchors, recorded.predictions)} == {torch.float32}
    assert (reconstruct(model, recorded) - x.to(dtype).float()).abs().max() <= 1e-5


def test_a_record_of_50_steps_at_1024_pixels_takes_27_megabytes(measured):
    x = torch.zeros(1, 4, 128, 128)
    recorded = res_inversion(lambda x, sigma: x * 0.5, x, schedule("normal", 50), model_kind=KIND)
    held = [recorded.anchors, recorded.predictions]
    assert sum(len(t) for t in held) <= 2 * (50 + 1)
    megabytes = sum(t.untyped_storage().nbytes() for t in held) / 1e6
    measured("MB held for 50 steps at 1024x1024", megabytes)
    assert megabytes <= 27


class TestAgainstDiffusers:
    """diffusers' DDIM schedulers as references; they step in z = x / sqrt(1 + sigma^2) and by timesteps."""

    CONFIG = MappingProxyType(
        {
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "clip_sample": False,
            "set_alpha_to_one": True,
            "steps_offset": 0,
        }
    )
    STEPS = 20

    @staticmethod
    def noise_prediction(z, t):
        """A network for z at timestep t, as diffusers calls it."""
        weight = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(12))
        return torch.tanh(torch.nn.functional.conv2d(z, weight, padding=1) + t / 1000)

    def sigmas(self, scheduler, timesteps):
        alphas_cumprod = scheduler.alphas_cumprod.double()[timesteps]
        return torch.cat([torch.zeros(1), ((1 - alphas_cumprod) / alphas_cumprod).sqrt().float()])

    def model(self, sigmas, timesteps):
        """The same network for x at sigma, as k-diffusion calls it."""

        def model(x, sigma):
            t = timesteps[(sigmas[1:] - sigma[0]).abs().argmin()]
            return x - sigma * self.noise_prediction(x / (1 + sigma**2) ** 0.5, t)

        return model

    def test_inversion_at_target_equals_ddim_inverse_scheduler(self):
        scheduler = DDIMInverseScheduler(**self.CONFIG)
        scheduler.set_timesteps(self.STEPS)
        timesteps = scheduler.timesteps
        # The inverse scheduler goes from t - 1000 / steps to t, from the picture where that is negative.
        z = picture(12)
        expected = [z]
        for t in timesteps:
            z = scheduler.step(self.noise_prediction(z, t), t, z).prev_sample
            expected.append(z)

        sigmas = self.sigmas(scheduler, timesteps)
        pivot = ddim_inversion(
            self.model(sigmas, timesteps),
            picture(12),
            sigmas,
            model_kind=KIND,
            evaluate_at="target",
            input_scale=lambda sigma: (1 + sigma**2) ** -0.5,
        )
        for x, z, sigma in zip(pivot.anchors, expected, sigmas, strict=True):
            torch.testing.assert_close(x / (1 + sigma**2) ** 0.5, z, rtol=1e-4, atol=1e-4)

    def test_sampling_without_the_backward_flow_equals_ddim_scheduler(self):
        scheduler = DDIMScheduler(**self.CONFIG)
        scheduler.set_timesteps(self.STEPS)
        timesteps = scheduler.timesteps.flip(0)
        sigmas = self.sigmas(scheduler, timesteps)
        z = noise = picture(13)
        for t in scheduler.timesteps:
            z = scheduler.step(self.noise_prediction(z, t), t, z).prev_sample

        anchors = torch.zeros(self.STEPS + 1, *noise.shape)
        anchors[-1] = noise * (1 + sigmas[-1] ** 2) ** 0.5
        model = self.model(sigmas, timesteps)
        x = sample_bimd(model, anchors, anchors[1:], sigmas.flip(0), backward_scale=0.0)
        torch.testing.assert_close(x, z, rtol=1e-4, atol=1e-4)

"""DDIM inversion and ResInversion as functions: exactness, cost, and references that share no code with them."""

import pytest
import torch
from comfy import samplers
from customenhancer.bimd import sample_bimd
from customenhancer.resinversion import Recording, ddim_inversion, record_residual_noise, res_inversion, residual_noise
from diffusers import DDIMInverseScheduler, DDIMScheduler
from helpers.diffusers_reference import CONFIG, STEPS, model_of, noise_prediction, sigmas_of
from helpers.functions import Counted, ascending_schedule, chaotic_function, model_picture, one_prediction, sample_along
from hypothesis import assume, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("name", ["karras", "sgm_uniform", "normal", "ddim_uniform"])
@pytest.mark.parametrize("steps", [1, 4, 8, 20, 50])
def test_a_chaotic_model_gives_the_picture_back(name, steps, measured):
    """The record alone decides: a model that amplifies every error gives the picture back to 1e-5."""
    model, x = chaotic_function(steps), model_picture(1, batch=3)
    recorded = res_inversion(one_prediction(model), x, ascending_schedule(name, steps))
    error = (sample_along(model, recorded) - x).abs().max().item()
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
    model, x, sigmas = chaotic_function(seed), model_picture(seed, batch), ascending_schedule(name, steps)
    assume(sigmas.isfinite().all())  # the host's kl_optimal divides by zero at one step
    recorded = res_inversion(one_prediction(model), x, sigmas, evaluate_at=evaluate_at)
    assert recorded.anchors.shape == (len(sigmas), *x.shape)
    assert (sample_along(model, recorded) - x).abs().max() <= 1e-5


def test_without_residual_noise_the_picture_is_lost():
    """The property above is not trivial: the same model without the backward flow does not come back."""
    model, x = chaotic_function(0), model_picture(0)
    recorded = res_inversion(one_prediction(model), x, ascending_schedule("normal", 20))
    assert (sample_along(model, recorded, backward_scale=0.0) - x).abs().max() > 0.5


def test_a_recorded_residual_walks_back_along_the_pivot():
    """Eq. 3 as written: x*_{i-1} = x*_i + (s_{i-1} - s_i) (eps(x*_i, s_i) + r_i)."""
    model, sigmas = chaotic_function(3), ascending_schedule("normal", 12)
    recorded = res_inversion(one_prediction(model), model_picture(3), sigmas)
    residuals = residual_noise(recorded)
    for i in range(1, recorded.steps + 1):
        x, sigma = recorded.anchors[i], sigmas[i]
        eps = (x - model(x, sigma[None])) / sigma
        back = x + (sigmas[i - 1] - sigma) * (eps + residuals[i - 1])
        torch.testing.assert_close(back, recorded.anchors[i - 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_a_pivot_costs_n_model_calls_and_residual_noise_one_more_or_n_more(steps):
    """One pass costs N + 1 calls, a pivot alone N, a record along a given pivot N, the target convention 2N."""
    x, sigmas = model_picture(5), ascending_schedule("normal", steps)
    pivot = ddim_inversion(chaotic_function(5), x, sigmas)
    costs = {}
    for name, invert in {
        "ddim": lambda model: ddim_inversion(model, x, sigmas),
        "res": lambda model: res_inversion(one_prediction(model), x, sigmas),
        "res at target": lambda model: res_inversion(one_prediction(model), x, sigmas, evaluate_at="target"),
        "record": lambda model: record_residual_noise(model, pivot),
    }.items():
        model = Counted(chaotic_function(5))
        invert(model)
        costs[name] = model.calls
    assert costs == {"ddim": steps, "res": steps + 1, "res at target": 2 * steps, "record": steps}


def test_one_pass_records_what_two_passes_do():
    model, x, sigmas = chaotic_function(7), model_picture(7), ascending_schedule("karras", 20)
    pivot = ddim_inversion(model, x, sigmas)
    two_passes, one_pass = record_residual_noise(model, pivot), res_inversion(one_prediction(model), x, sigmas)
    assert torch.equal(one_pass.anchors, pivot.anchors)
    assert torch.equal(one_pass.predictions, two_passes.predictions)


def test_the_conditional_part_moves_the_pivot_and_the_guided_part_is_recorded():
    guided, conditional = chaotic_function(8), chaotic_function(9)

    def model(x, sigma):
        return guided(x, sigma), conditional(x, sigma)

    x, sigmas = model_picture(8), ascending_schedule("normal", 10)
    recorded = res_inversion(model, x, sigmas)
    assert torch.equal(recorded.anchors, ddim_inversion(conditional, x, sigmas).anchors)
    assert (sample_along(guided, recorded) - x).abs().max() <= 1e-5


def test_partial_inversion_is_the_start_of_the_whole():
    """The low sigmas of a schedule (SplitSigmas) give the same pivot as the whole schedule up to there."""
    model, x, sigmas = chaotic_function(10), model_picture(10), ascending_schedule("normal", 20)
    whole = res_inversion(one_prediction(model), x, sigmas)
    part = res_inversion(one_prediction(model), x, sigmas[:8])
    assert torch.equal(part.anchors, whole.anchors[:8])
    assert torch.equal(part.predictions, whole.predictions[:7])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_model_is_inverted_in_float32(dtype):
    """A model that answers in half precision is met with float32 everywhere else, so nothing drifts or overflows."""
    chaotic = chaotic_function(11)

    def model(x, sigma):
        assert x.dtype == torch.float32
        return chaotic(x, sigma).to(dtype)

    x = model_picture(11)
    recorded = res_inversion(one_prediction(model), x.to(dtype), ascending_schedule("normal", 20))
    assert {t.dtype for t in (recorded.sigmas, recorded.anchors, recorded.predictions)} == {torch.float32}
    assert (sample_along(model, recorded) - x.to(dtype).float()).abs().max() <= 1e-5


def test_a_record_of_50_steps_at_1024_pixels_takes_27_megabytes(measured):
    x = torch.zeros(1, 4, 128, 128)
    recorded = res_inversion(one_prediction(lambda x, sigma: x * 0.5), x, ascending_schedule("normal", 50))
    held = [recorded.anchors, recorded.predictions]
    assert sum(len(t) for t in held) <= 2 * (50 + 1)
    megabytes = sum(t.untyped_storage().nbytes() for t in held) / 1e6
    measured("MB held for 50 steps at 1024x1024", megabytes)
    assert megabytes <= 27


class TestAgainstDiffusers:
    """diffusers' DDIM schedulers as references; they step in z = x / sqrt(1 + sigma^2) and by timesteps."""

    def test_inversion_at_target_equals_ddim_inverse_scheduler(self):
        scheduler = DDIMInverseScheduler(**CONFIG)
        scheduler.set_timesteps(STEPS)
        timesteps = scheduler.timesteps
        # The inverse scheduler goes from t - 1000 / steps to t, from the picture where that is negative.
        z = model_picture(12)
        expected = [z]
        for t in timesteps:
            z = scheduler.step(noise_prediction(z, t), t, z).prev_sample
            expected.append(z)

        sigmas = sigmas_of(scheduler, timesteps)
        pivot = ddim_inversion(
            model_of(sigmas, timesteps),
            model_picture(12),
            sigmas,
            evaluate_at="target",
            input_scale=lambda sigma: (1 + sigma**2) ** -0.5,
        )
        for x, z, sigma in zip(pivot.anchors, expected, sigmas, strict=True):
            torch.testing.assert_close(x / (1 + sigma**2) ** 0.5, z, rtol=1e-4, atol=1e-4)

    def test_sampling_without_the_backward_flow_equals_ddim_scheduler(self):
        scheduler = DDIMScheduler(**CONFIG)
        scheduler.set_timesteps(STEPS)
        timesteps = scheduler.timesteps.flip(0)
        sigmas = sigmas_of(scheduler, timesteps)
        z = noise = model_picture(13)
        for t in scheduler.timesteps:
            z = scheduler.step(noise_prediction(z, t), t, z).prev_sample

        anchors = torch.zeros(STEPS + 1, *noise.shape)
        anchors[-1] = noise * (1 + sigmas[-1] ** 2) ** 0.5
        model = model_of(sigmas, timesteps)
        x = sample_bimd(model, Recording(sigmas, anchors, anchors[1:]), backward_scale=0.0)
        torch.testing.assert_close(x, z, rtol=1e-4, atol=1e-4)

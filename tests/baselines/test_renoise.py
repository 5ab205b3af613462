"""ReNoise inversion: against references that share no code with it, and the node inside the host's guiders."""

import itertools

import pytest
import torch
from customenhancer.baselines.renoise import renoise_inversion
from customenhancer.nodes.baselines import ReNoiseInversionNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode
from customenhancer.resinversion import ddim_inversion
from diffusers import DDIMInverseScheduler
from helpers.diffusers_reference import CONFIG, STEPS, model_of, noise_prediction, sigmas_of
from helpers.functions import ascending_schedule, chaotic_function, model_picture
from helpers.guiders import CountedGuider, SilentGuider, flow_of
from helpers.sampling import picture, sample_back, schedule
from standins.analytic import chaotic_model, gaussian_model, guider

MEAN, STD = 0.5, 0.8


def gaussian(x, sigma):
    """Denoised of N(MEAN, STD^2): linear in x."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def euler(model, x, sigmas):
    """Plain sampling from x along descending sigmas."""
    for sigma, after in itertools.pairwise(sigmas):
        x = x + (after - sigma) * (x - model(x, sigma.expand(len(x)))) / sigma
    return x


def test_many_iterations_arrive_at_the_point_whose_step_leads_back(measured):
    """On a linear model the implicit step x_i = x_{i+1} + (s_i - s_{i+1}) eps(x_{i+1}) is solved by hand."""
    x, sigmas = model_picture(1), ascending_schedule("normal", 20)
    pivot = renoise_inversion(gaussian, x, sigmas, iterations=100)
    expected = x.double()
    for i in range(20):
        sigma, step = sigmas[i + 1].double(), (sigmas[i + 1] - sigmas[i]).double()
        slope = step * sigma / (STD**2 + sigma**2)  # of the step's end in the point where eps is asked
        expected = (expected - slope * MEAN) / (1 - slope)
        torch.testing.assert_close(pivot.anchors[i + 1].double(), expected, rtol=1e-4, atol=1e-4)

    def error(pivot):
        return (euler(gaussian, pivot.anchors[-1], sigmas.flip(0)) - x).abs().max().item()

    errors = [error(renoise_inversion(gaussian, x, sigmas, iterations=k)) for k in (0, 1, 4, 100)]
    for iterations, value in zip((0, 1, 4, 100), errors, strict=True):
        measured(f"plain sampling's error after ReNoise, Gaussian, 20 steps, {iterations} iterations", value)
    assert errors == sorted(errors, reverse=True) and errors[0] > 100 * errors[-1]
    assert errors[-1] <= 1e-4


@pytest.mark.parametrize("input_scale", [None, lambda sigma: (1 + sigma**2) ** -0.5])
def test_without_iterations_it_is_ddim_inversion_at_the_target(input_scale):
    model, x, sigmas = chaotic_function(2), model_picture(2, batch=2), ascending_schedule("karras", 12)
    options = {"input_scale": input_scale}
    renoised = renoise_inversion(model, x, sigmas, iterations=0, **options)
    assert torch.equal(renoised.anchors, ddim_inversion(model, x, sigmas, evaluate_at="target", **options).anchors)


@pytest.mark.parametrize(("iterations", "average"), [(1, 1), (1, 2), (4, 3)])
def test_it_equals_the_original_on_diffusers_inverse_scheduler(iterations, average):
    """The original in z = x / sqrt(1 + sigma^2): predictions at the newest estimate, their last ones averaged."""
    scheduler = DDIMInverseScheduler(**CONFIG)
    scheduler.set_timesteps(STEPS)
    z = model_picture(3)
    expected = [z]
    for t in scheduler.timesteps:
        estimate, predictions = z, []
        for _ in range(iterations + 1):
            predictions.append(noise_prediction(estimate, t))
            estimate = scheduler.step(predictions[-1], t, z).prev_sample
        z = scheduler.step(torch.stack(predictions[-average:]).mean(dim=0), t, z).prev_sample
        expected.append(z)

    sigmas = sigmas_of(scheduler, scheduler.timesteps)
    pivot = renoise_inversion(
        model_of(sigmas, scheduler.timesteps),
        model_picture(3),
        sigmas,
        iterations=iterations,
        average=average,
        input_scale=lambda sigma: (1 + sigma**2) ** -0.5,
    )
    for x, z, sigma in zip(pivot.anchors, expected, sigmas, strict=True):
        torch.testing.assert_close(x / (1 + sigma**2) ** 0.5, z, rtol=1e-4, atol=1e-4)


def test_each_iteration_is_one_model_call_at_the_target_sigma():
    asked, sigmas = [], ascending_schedule("normal", 7)

    def model(x, sigma):
        asked.append(sigma)
        return gaussian(x, sigma)

    pivot = renoise_inversion(model, model_picture(4), sigmas, iterations=3, average=2)
    assert torch.equal(torch.cat(asked), sigmas[1:].repeat_interleave(4))
    assert torch.equal(pivot.sigmas, sigmas)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_model_is_inverted_in_float32(dtype):
    def model(x, sigma):
        assert x.dtype == torch.float32
        return gaussian(x, sigma).to(dtype)

    pivot = renoise_inversion(model, model_picture(5).to(dtype), ascending_schedule("normal", 8))
    assert pivot.anchors.dtype == pivot.sigmas.dtype == torch.float32


class TestNode:
    """In the host's own guiders."""

    def test_plain_sampling_comes_nearer_to_the_picture_than_after_ddim_inversion(self, measured):
        model = gaussian_model()
        flow, sigmas, latent = guider(model, cfg=1.0), schedule(model), picture()
        drawn = {}
        for name, node, options in (
            ("DDIM", DDIMInversionNode, {}),
            ("ReNoise, 1 iteration", ReNoiseInversionNode, {}),
            ("ReNoise, 9 iterations", ReNoiseInversionNode, {"iterations": 9}),
        ):
            pivot, noisy = node.execute(flow, sigmas, latent, **options).result
            record = RecordResidualNoiseNode.execute(flow, pivot).result[0]
            result = sample_back(flow, record, sigmas, noisy, backward_scale=0.0)
            drawn[name] = (result - latent["samples"]).abs().max().item()
            measured(f"plain sampling's error after {name}, Gaussian MODEL, 20 steps, CFG 1", drawn[name])
        errors = list(drawn.values())
        assert errors == sorted(errors, reverse=True) and errors[-1] < 0.1 * errors[0]

    @pytest.mark.parametrize("pivot_guidance", ["conditional", "guided"])
    def test_its_pivot_feeds_record_residual_noise_like_any_other(self, pivot_guidance):
        model = chaotic_model(6)
        flow, sigmas, latent = guider(model), schedule(model), picture(batch=2)
        options = {"iterations": 2, "average": 2, "pivot_guidance": pivot_guidance}
        pivot, noisy = ReNoiseInversionNode.execute(flow, sigmas, latent, **options).result
        record = RecordResidualNoiseNode.execute(flow, pivot).result[0]
        assert (sample_back(flow, record, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5

    def test_each_iteration_costs_one_guider_call_per_step(self):
        model = gaussian_model()
        flow = flow_of(CountedGuider, model)
        ReNoiseInversionNode.execute(flow, schedule(model), picture(), iterations=3)
        assert flow.calls == 4 * 20

    def test_the_pivot_moves_by_the_conditional_prediction_unless_guided(self):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        run = ReNoiseInversionNode.execute
        conditional = run(guider(model, cfg=5.0), sigmas, latent).result[0]
        unguided = run(guider(model, cfg=1.0), sigmas, latent).result[0]
        guided = run(guider(model, cfg=5.0), sigmas, latent, pivot_guidance="guided").result[0]
        torch.testing.assert_close(conditional.anchors, unguided.anchors)
        assert (guided.anchors[-1] - conditional.anchors[-1]).abs().max() > 0.1

    def test_a_guider_without_conditional_prediction_is_reported_as_guided(self):
        model = gaussian_model()
        output = ReNoiseInversionNode.execute(flow_of(SilentGuider, model), schedule(model), picture())
        assert "pivot is guided" in output.ui.as_dict()["text"][0]
        assert ReNoiseInversionNode.execute(guider(model), schedule(model), picture()).ui is None

    @pytest.mark.parametrize(("iterations", "average"), [(1, 3), (0, 2), (1, 0)])
    def test_an_average_of_more_estimates_than_there_are_is_refused(self, iterations, average):
        model = gaussian_model()
        with pytest.raises(ValueError, match=rf"^average: {average} is (below 1|not between 1 and {iterations + 1})"):
            ReNoiseInversionNode.execute(
                guider(model), schedule(model), picture(), iterations=iterations, average=average
            )

    def test_a_negative_number_of_iterations_is_refused(self):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^iterations: -1 is below 0"):
            ReNoiseInversionNode.execute(guider(model), schedule(model), picture(), iterations=-1)

    @pytest.mark.parametrize(("sigmas", "says"), [([], "make no step"), ([0.0, 1.0], "must descend")])
    def test_sigmas_that_make_no_descending_schedule_are_refused(self, sigmas, says):
        with pytest.raises(ValueError, match=f"^sigmas: .*{says}"):
            ReNoiseInversionNode.execute(guider(gaussian_model()), torch.tensor(sigmas), picture())

"""The inversion nodes inside the host's own guiders, on stand-in models."""

from dataclasses import replace

import pytest
import torch
from comfy import samplers
from comfy.model_base import ModelType
from comfy.nested_tensor import NestedTensor
from comfy_extras.nodes_custom_sampler import DisableNoise, Guider_DualCFG, SamplerCustomAdvanced, SplitSigmas
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from helpers.guiders import CountedGuider, SilentGuider, flow_of
from helpers.sampling import invert, picture, sample_back, schedule
from standins.analytic import chaotic_model, conditioning, gaussian_model, guider


@pytest.mark.parametrize("prediction", [ModelType.EPS, ModelType.V_PREDICTION, ModelType.FLOW])
@pytest.mark.parametrize("chaotic", [False, True])
def test_every_prediction_type_is_inverted_exactly(prediction, chaotic):
    model = chaotic_model(1, prediction) if chaotic else gaussian_model(prediction)
    flow, sigmas, latent = guider(model), schedule(model), picture()
    if prediction is ModelType.FLOW:
        latent["samples"] *= 0.13025
    residual_noise, noisy = invert(flow, sigmas, latent)
    assert noisy["samples"].isfinite().all()
    assert (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["karras", "sgm_uniform", "normal"])
@pytest.mark.parametrize("steps", [4, 8, 20, 50])
def test_a_batch_of_3_comes_back_exactly_at_cfg_5(name, steps, measured):
    model = chaotic_model(steps)
    flow, sigmas, latent = guider(model, cfg=5.0), schedule(model, steps, name), picture(batch=3)
    residual_noise, noisy = invert(flow, sigmas, latent)
    error = (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max().item()
    measured(f"reconstruction error, chaotic MODEL, CFG 5, batch 3, {name}, {steps} steps", error)
    assert error <= 1e-5


def test_51_guider_calls_for_50_steps_and_50_to_sample():
    model = gaussian_model()
    flow, sigmas = flow_of(CountedGuider, model), schedule(model, steps=50)
    residual_noise, noisy = invert(flow, sigmas, picture())
    assert flow.calls == 51
    sample_back(flow, residual_noise, sigmas, noisy)
    assert flow.calls == 51 + 50


def test_the_pivot_moves_by_the_conditional_prediction_unless_guided():
    model = gaussian_model()
    sigmas, latent = schedule(model), picture()
    conditional = invert(guider(model, cfg=5.0), sigmas, latent)[0]
    unguided = invert(guider(model, cfg=1.0), sigmas, latent)[0]
    guided = invert(guider(model, cfg=5.0), sigmas, latent, pivot_guidance="guided")[0]
    torch.testing.assert_close(conditional.anchors, unguided.anchors)
    assert (guided.anchors[-1] - conditional.anchors[-1]).abs().max() > 0.1


def test_a_guider_without_conditional_prediction_is_reported_as_guided(caplog):
    model = gaussian_model()
    output = ResInversionNode.execute(flow_of(SilentGuider, model), schedule(model), picture())
    assert "pivot is guided" in caplog.text
    assert "pivot is guided" in output.ui.as_dict()["text"][0]
    said = ResInversionNode.execute(guider(model), schedule(model), picture())
    assert said.ui is None


@pytest.mark.parametrize("nested", [False, True])
def test_dual_cfg_guider_is_inverted_exactly(nested, caplog):
    """Its regular style hands over another prediction than the positive one; that must not move the pivot."""
    model = gaussian_model()
    flow = Guider_DualCFG(model)
    flow.set_conds(conditioning(0.5, 0.8), conditioning(0.2, 0.9), conditioning(0.0, 1.0))
    flow.set_cfg(3.0, 2.0, nested)
    sigmas, latent = schedule(model), picture()
    residual_noise, noisy = invert(flow, sigmas, latent)
    if nested:
        expected = invert(guider(model, (0.5, 0.8), cfg=1.0), sigmas, latent)[0]
    else:
        expected = invert(flow, sigmas, latent, pivot_guidance="guided")[0]
    torch.testing.assert_close(residual_noise.anchors, expected.anchors)
    assert ("pivot is guided" in caplog.text) != nested
    assert (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5


def test_a_partial_inversion_with_split_sigmas_is_exact():
    model = chaotic_model(5)
    flow, latent = guider(model), picture()
    low_sigmas = SplitSigmas.execute(schedule(model), 12).result[1]
    residual_noise, noisy = invert(flow, low_sigmas, latent)
    assert residual_noise.sigmas[-1] == low_sigmas[0]
    assert (sample_back(flow, residual_noise, low_sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5


def test_ddim_inversion_with_recorded_residuals_equals_res_inversion():
    model = chaotic_model(6)
    flow, sigmas, latent = flow_of(CountedGuider, model), schedule(model), picture()
    pivot, noisy = DDIMInversionNode.execute(flow, sigmas, latent).result
    assert flow.calls == 20
    recorded = RecordResidualNoiseNode.execute(flow, pivot).result[0]
    assert flow.calls == 40
    residual_noise, same_noisy = invert(flow, sigmas, latent)
    assert torch.equal(noisy["samples"], same_noisy["samples"])
    assert torch.equal(recorded.predictions, residual_noise.predictions)


def test_residuals_recorded_for_another_guider_make_that_guider_exact():
    model = chaotic_model(7)
    sigmas, latent = schedule(model), picture()
    pivot, noisy = DDIMInversionNode.execute(guider(model), sigmas, latent).result
    other = guider(model, positive=(-0.4, 0.3), cfg=7.5)
    residual_noise = RecordResidualNoiseNode.execute(other, pivot).result[0]
    assert (sample_back(other, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5


def test_evaluated_at_target_it_takes_two_passes_and_stays_exact():
    model = chaotic_model(8)
    flow, sigmas, latent = flow_of(CountedGuider, model), schedule(model), picture()
    residual_noise, noisy = invert(flow, sigmas, latent, evaluate_at="target")
    assert flow.calls == 40
    assert (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5


def test_the_inverted_latent_is_what_stock_samplers_start_from():
    """Euler from the inverted latent, without noise, starts at x*_N."""
    model = gaussian_model()
    flow, sigmas = guider(model), schedule(model)
    residual_noise, noisy = invert(flow, sigmas, picture())
    assert torch.allclose(noisy["samples"] * 0.13025, residual_noise.anchors[-1])
    euler, noise = samplers.sampler_object("euler"), DisableNoise.execute().result[0]
    stock = SamplerCustomAdvanced.execute(noise, flow, euler, sigmas, noisy).result[0]["samples"]
    ours = sample_back(flow, residual_noise, sigmas, noisy, backward_scale=0.0)
    torch.testing.assert_close(stock, ours, rtol=1e-5, atol=1e-5)


def test_inputs_stay_as_they_were():
    model = gaussian_model()
    flow, sigmas, latent = guider(model), schedule(model), picture()
    latent["noise_mask"] = torch.ones(1, 1, 8, 8)
    options, samples, schedule_before = flow.model_options, latent["samples"].clone(), sigmas.clone()
    rng = torch.get_rng_state()
    residual_noise, noisy = invert(flow, sigmas, latent)
    sample_back(flow, residual_noise, sigmas, noisy)
    assert torch.equal(latent["samples"], samples) and torch.equal(sigmas, schedule_before)
    assert torch.equal(torch.get_rng_state(), rng)
    assert flow.model_options is options and "sampler_post_cfg_function" not in options
    assert noisy is not latent and "noise_mask" in noisy


class TestBadInput:
    """Each error names the input and what to do."""

    @pytest.mark.parametrize(
        ("sigmas", "says"),
        [
            ([], "0 values make no step"),
            ([1.0], "1 values make no step"),
            ([0.0, 1.0, 2.0], "must descend"),
            ([2.0, 1.0, 1.0, 0.0], "must descend"),
            ([2.0, 1.0], "ends at 1, not at 0"),
            ([float("nan"), 0.0], "NaN or Inf"),
        ],
    )
    @pytest.mark.parametrize("node", [ResInversionNode, DDIMInversionNode])
    def test_sigmas_that_make_no_descending_schedule_are_refused(self, node, sigmas, says):
        with pytest.raises(ValueError, match=f"^sigmas: .*{says}"):
            node.execute(guider(gaussian_model()), torch.tensor(sigmas), picture())

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_a_latent_that_is_not_finite_is_refused(self, bad):
        latent = picture()
        latent["samples"][0, 0, 0, 0] = bad
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^latent_image: holds NaN or Inf"):
            ResInversionNode.execute(guider(model), schedule(model), latent)

    def test_a_nested_latent_is_refused(self):
        nested = NestedTensor([picture()["samples"], picture()["samples"]])
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^latent_image: joins several latents"):
            ResInversionNode.execute(guider(model), schedule(model), {"samples": nested})

    def test_a_model_that_overflows_is_refused(self):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^guider: its model predicted NaN or Inf"):
            ResInversionNode.execute(guider(model, positive=(float("nan"), 1.0)), schedule(model), picture())

    def test_other_sigmas_than_the_recorded_are_refused(self):
        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model)
        residual_noise, noisy = invert(flow, sigmas, picture())
        for other in (schedule(model, steps=19), schedule(model, scheduler="karras"), sigmas[3:]):
            with pytest.raises(ValueError, match=r"^sigmas: not the schedule that residual_noise was recorded on"):
                sample_back(flow, residual_noise, other, noisy)
        sample_back(flow, residual_noise, sigmas, noisy)

    @pytest.mark.parametrize("shape", [(2, 4, 8, 8), (1, 4, 8, 16)])
    def test_a_latent_of_another_size_or_batch_is_refused(self, shape):
        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model)
        residual_noise, _ = invert(flow, sigmas, picture())
        with pytest.raises(ValueError, match=r"^latent_image: its shape .* is not that of the inverted picture"):
            sample_back(flow, residual_noise, sigmas, {"samples": torch.zeros(shape)})

    def test_noise_that_would_be_lost_is_refused(self):
        class Noise:
            seed = 1

            def generate_noise(self, latent):
                return torch.ones_like(latent["samples"])

        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model)
        residual_noise, noisy = invert(flow, sigmas, picture())
        with pytest.raises(ValueError, match=r"^noise: .* Connect DisableNoise"):
            sample_back(flow, residual_noise, sigmas, noisy, noise=Noise())

    def test_a_recording_of_another_model_kind_is_refused(self):
        eps, v = gaussian_model(ModelType.EPS), gaussian_model(ModelType.V_PREDICTION)
        sigmas = schedule(eps)
        residual_noise, noisy = invert(guider(eps), sigmas, picture())
        with pytest.raises(ValueError, match=r"^residual_noise: was recorded with a model of another kind"):
            sample_back(guider(v), residual_noise, sigmas, noisy)
        pivot = DDIMInversionNode.execute(guider(eps), sigmas, picture()).result[0]
        with pytest.raises(ValueError, match=r"^pivot: was recorded with a model of another kind"):
            RecordResidualNoiseNode.execute(guider(v), pivot)

    def test_a_failed_run_leaves_the_guider_usable(self):
        model = gaussian_model()
        flow, sigmas, latent = guider(model), schedule(model), picture()
        residual_noise, noisy = invert(flow, sigmas, latent)
        with pytest.raises(ValueError, match="residual_noise"):
            sample_back(flow, replace(residual_noise, model_kind="another kind"), sigmas, noisy)
        assert (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5

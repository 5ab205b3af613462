"""The null-text inversion node in the host, run as the host runs it: in inference mode, on weights made in it."""

import copy

import pytest
import torch
from comfy import samplers
from customenhancer.nodes.baselines import NullTextInversionNode
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from helpers.sampling import max_error, picture, sample, schedule
from nodes import ConditioningCombine, ConditioningSetTimestepRange
from standins.analytic import conditioning, gaussian_model, guider

pytestmark = pytest.mark.usefixtures("inference_mode")


def gaussian_run(model, sigmas, latent, **options):
    """The node on two Gaussians: prompt (0.5, 0.8), nothing (0, 1)."""
    return NullTextInversionNode.execute(
        model, conditioning(0.5, 0.8), conditioning(0.0, 1.0), sigmas, latent, **options
    )


def said(output) -> str:
    return output.ui.as_dict()["text"][0]


class TestOnAGaussian:
    """Where DDIM drifts by far more than its scale, since each guided step goes past the prompt's Gaussian."""

    @pytest.mark.parametrize("steps", [20, 50])
    def test_the_reconstruction_beats_that_of_ddim_inversion(self, steps, measured):
        model = gaussian_model()
        sigmas, latent = schedule(model, steps), picture()
        flow, noisy = gaussian_run(model, sigmas, latent).result
        null_text_error = max_error(sample(flow, "euler", sigmas, noisy), latent)
        plain = guider(model, cfg=7.5)
        _, noisy = DDIMInversionNode.execute(plain, sigmas, latent).result
        ddim_error = max_error(sample(plain, "euler", sigmas, noisy), latent)
        measured(f"reconstruction error, null text, Gaussian MODEL, CFG 7.5, {steps} steps", null_text_error)
        measured(f"reconstruction error, DDIM inversion, the same, {steps} steps", ddim_error)
        assert null_text_error < 0.05 * ddim_error
        fell = [losses[-1] < losses[0] for losses in flow.null_text.losses if losses[0] > 1e-3]
        assert fell and all(fell)

    def test_what_it_reports_is_what_sampling_gives(self):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        output = gaussian_run(model, sigmas, latent)
        flow, noisy = output.result
        sampled = sample(flow, "euler", sigmas, noisy)
        torch.testing.assert_close(
            sampled, model.model.process_latent_out(flow.null_text.reconstruction), rtol=0, atol=1e-3
        )
        assert f"error of the reconstruction: {max_error(sampled, latent):.2}"[:-1] in said(output)

    def test_a_step_takes_13_forwards_and_10_backwards_at_most_counted_in_the_model(self, measured, caplog):
        """Less than the original's 14N and 10N; with early stop off, every inner step is taken."""
        model, counts = gaussian_model(), {"forwards": 0, "backwards": 0}
        network = model.model.diffusion_model
        forward = network.forward

        def counted(xc, *args, **kwargs):
            counts["forwards"] += len(xc)
            result = forward(xc, *args, **kwargs)
            if result.requires_grad:
                result.register_hook(lambda gradient: counts.update(backwards=counts["backwards"] + 1))
            return result

        network.forward = counted
        sigmas = schedule(model, 50)
        with caplog.at_level("INFO"):
            for options in ({}, {"early_stop": -1.0}):
                counts.update(forwards=0, backwards=0)
                output = gaussian_run(model, sigmas, picture(), **options)
                assert f"{counts['forwards']} forward passes, {counts['backwards']} backward passes" in said(output)
                assert f"{counts['backwards']} inner steps taken, of 500 at most" in said(output)
                assert said(output) in caplog.text
                for what, number in counts.items():
                    measured(f"null text on a Gaussian MODEL, 50 steps, {options or 'defaults'}: {what}", number)
                assert counts["forwards"] <= 14 * 50 and counts["backwards"] <= 10 * 50
        assert counts == {"forwards": 13 * 50, "backwards": 10 * 50}

    def test_at_cfg_1_there_is_nothing_to_optimise_and_the_node_says_so(self):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        output = gaussian_run(model, sigmas, latent, cfg=1.0)
        flow, noisy = output.result
        assert "nothing to optimise" in said(output) and flow.null_text.inner_steps == 0
        assert flow.null_text.calls == 3 * 20
        assert torch.equal(sample(flow, "euler", sigmas, noisy), sample(guider(model, cfg=1.0), "euler", sigmas, noisy))

    def test_its_pivot_is_that_of_ddim_inversion_without_guidance_which_can_be_saved(self):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        flow, noisy = gaussian_run(model, sigmas, latent).result
        pivot, end = DDIMInversionNode.execute(guider(model, cfg=1.0), sigmas, latent, evaluate_at="target").result
        assert torch.equal(flow.null_text.anchors, pivot.anchors) and torch.equal(noisy["samples"], end["samples"])

    def test_a_model_that_overflows_is_named_as_the_nodes_input(self):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^model: it predicted NaN or Inf"):
            NullTextInversionNode.execute(
                model, conditioning(3e38, 1.0), conditioning(0, 1), schedule(model), picture(), inner_steps=0
            )

    @pytest.mark.parametrize("cfg", [0.0, 3.0, 7.5])
    def test_negative_prompt_inversion_is_the_reconstruction_of_cfg_1_whatever_the_cfg(self, cfg):
        """The prompt on both sides of the guidance, so that it has no effect."""
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        output = gaussian_run(model, sigmas, latent, cfg=cfg, start_from="positive", inner_steps=0)
        flow, noisy = output.result
        unguided = sample(guider(model, cfg=1.0), "euler", sigmas, noisy)
        torch.testing.assert_close(sample(flow, "euler", sigmas, noisy), unguided, rtol=0, atol=1e-4)
        assert said(output).startswith("Negative-prompt inversion:") and "60 forward passes, 0 backward passes" in said(
            output
        )
        assert f"error of the reconstruction: {max_error(unguided, latent):.2}"[:-1] in said(output)

    def test_without_inner_steps_the_negative_prompt_stays(self):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        output = gaussian_run(model, sigmas, latent, cfg=3.0, inner_steps=0)
        flow, noisy = output.result
        plain = samplers.CFGGuider(model)
        plain.set_conds(conditioning(0.5, 0.8), conditioning(0.0, 1.0))
        plain.set_cfg(3.0)
        torch.testing.assert_close(sample(flow, "euler", sigmas, noisy), sample(plain, "euler", sigmas, noisy))
        assert said(output).startswith("No inner steps:") and flow.null_text.inner_steps == 0

    def test_more_inner_steps_from_the_positive_prompt_come_nearer(self):
        """The first inner step finds guidance without effect; the later ones make what is left of the error less."""
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        errors = {}
        for inner_steps in (0, 10):
            options = {"inner_steps": inner_steps, "start_from": "positive", "early_stop": -1.0}
            output = gaussian_run(model, sigmas, latent, **options)
            flow, noisy = output.result
            errors[inner_steps] = max_error(sample(flow, "euler", sigmas, noisy), latent)
        assert errors[10] < 0.5 * errors[0] and "200 at most, from the positive prompt" in said(output)

    def test_each_picture_of_a_batch_gets_what_it_gets_alone(self):
        model, latent = gaussian_model(), picture(batch=2)
        sigmas = schedule(model, 8)
        both, noisy = gaussian_run(model, sigmas, latent, early_stop=-1.0).result
        assert both.null_text.texts[0].shape == (8, 2, 1, 2)
        drawn = sample(both, "euler", sigmas, noisy)
        for n, one in enumerate(latent["samples"]):
            alone, noise = gaussian_run(model, sigmas, {"samples": one[None]}, early_stop=-1.0).result
            torch.testing.assert_close(drawn[n], sample(alone, "euler", sigmas, noise)[0], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m", "dpm_2"])
    def test_other_samplers_and_other_schedules_sample_finite_pictures(self, sampler):
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        flow, noisy = gaussian_run(model, sigmas, latent).result
        assert sample(flow, sampler, sigmas, noisy).isfinite().all()
        assert sample(flow, sampler, schedule(model, 13), noisy).isfinite().all()

    def test_the_guider_serves_as_a_flow_of_the_method_and_stays_exact(self):
        """Its guider inverts exactly, by itself and as a flow of the triple-flow guider."""
        model = gaussian_model()
        sigmas, latent = schedule(model), picture()
        flow, _ = gaussian_run(model, sigmas, latent).result
        residual_noise, noisy = ResInversionNode.execute(flow, sigmas, latent).result
        both = TripleFlowGuiderNode.execute(flow, guider(model), start_step=20).result[0]
        for one in (flow, both):
            bimd = BiMDSamplerNode.execute(residual_noise).result[0]
            assert (sample(one, bimd, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5
        pivot = DDIMInversionNode.execute(guider(model), sigmas, latent).result[0]
        assert RecordResidualNoiseNode.execute(flow, pivot).result[0].predictions.isfinite().all()

    def test_guidance_functions_of_the_model_are_optimised_through(self):
        """A rescaled guidance (as of RescaleCFG) is what is sampled with, so it is what is optimised."""
        model = gaussian_model()

        def weaker(args):
            return args["input"] - (args["cond_denoised"] * 3 - args["uncond_denoised"] * 2)

        model.set_model_sampler_cfg_function(weaker)
        heard = []
        model.set_model_sampler_post_cfg_function(lambda args: heard.append(args["cond_scale"]) or args["denoised"])
        sigmas, latent = schedule(model), picture()
        flow, noisy = gaussian_run(model, sigmas, latent).result
        assert heard and set(heard) == {7.5}
        plain = guider(model, cfg=7.5)
        ddim = sample(plain, "euler", sigmas, DDIMInversionNode.execute(plain, sigmas, latent).result[1])
        assert max_error(sample(flow, "euler", sigmas, noisy), latent) < 0.2 * max_error(ddim, latent)

    def test_inputs_stay_as_they_were(self):
        model = gaussian_model()
        sigmas, latent = schedule(model, 4), picture()
        latent["noise_mask"] = torch.ones(1, 1, 8, 8)
        negative, positive = conditioning(0.0, 1.0), conditioning(0.5, 0.8)
        options, wrappers = copy.deepcopy(model.model_options), copy.deepcopy(model.wrappers)
        before = [tensor.clone() for tensor in (sigmas, latent["samples"], negative[0][0], positive[0][0])]
        rng = torch.get_rng_state()
        _, noisy = NullTextInversionNode.execute(model, positive, negative, sigmas, latent).result
        after = (sigmas, latent["samples"], negative[0][0], positive[0][0])
        assert all(map(torch.equal, before, after)) and negative[0][1] == {} and positive[0][1] == {}
        assert torch.equal(torch.get_rng_state(), rng)
        assert model.model_options == options and model.wrappers == wrappers
        assert noisy is not latent and "noise_mask" in noisy


class TestBadInput:
    """Each error names the input and what to do."""

    @pytest.mark.parametrize(
        ("sigmas", "says"),
        [([], "make no step"), ([0.0, 1.0], "must descend"), ([2.0, 1.0], "ends at 1"), ([float("nan"), 0.0], "NaN")],
    )
    def test_sigmas_that_make_no_descending_schedule_are_refused(self, sigmas, says):
        with pytest.raises(ValueError, match=f"^sigmas: .*{says}"):
            gaussian_run(gaussian_model(), torch.tensor(sigmas), picture())

    def test_a_latent_that_is_not_finite_is_refused(self):
        model, latent = gaussian_model(), picture()
        latent["samples"][0, 0, 0, 0] = float("nan")
        with pytest.raises(ValueError, match=r"^latent_image: holds NaN or Inf"):
            gaussian_run(model, schedule(model), latent)

    def test_a_negative_without_exactly_one_text_is_refused(self):
        model = gaussian_model()
        one = conditioning(0.0, 1.0)
        halves = [ConditioningSetTimestepRange().set_range(one, *ends)[0] for ends in ((0, 0.5), (0.5, 1))]
        for number, negative in ((0, [[None, {}]]), (2, ConditioningCombine().combine(*halves)[0])):
            with pytest.raises(ValueError, match=f"^negative: holds {number} texts, .* Connect one CLIP Text Encode"):
                NullTextInversionNode.execute(model, one, negative, schedule(model), picture())

    def test_optimising_a_pooled_text_that_is_not_there_is_refused(self):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^pooled: negative has no pooled embedding"):
            gaussian_run(model, schedule(model), picture(), pooled="optimised")

    def test_a_positive_without_exactly_one_text_to_start_from_is_refused(self):
        model, one = gaussian_model(), conditioning(0.0, 1.0)
        options = {"sigmas": schedule(model), "latent_image": picture(), "start_from": "positive"}
        with pytest.raises(ValueError, match=r"^positive: holds 2 texts, .* Connect one CLIP Text Encode"):
            NullTextInversionNode.execute(model, ConditioningCombine().combine(one, one)[0], one, **options)

    def test_a_model_that_overflows_is_refused(self):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^model: its prediction, or the gradient through it, holds NaN or Inf"):
            NullTextInversionNode.execute(
                model, conditioning(0.5, 0.8), conditioning(3e38, 1.0), schedule(model), picture()
            )

    def test_another_batch_than_that_of_the_pictures_is_refused(self):
        model = gaussian_model()
        sigmas = schedule(model, 3)
        flow, _ = gaussian_run(model, sigmas, picture(batch=2)).result
        with pytest.raises(ValueError, match=r"^latent_image: a batch of 3, .* null text of 2 pictures"):
            sample(flow, "euler", sigmas, picture(batch=3))
        flow, _ = gaussian_run(model, sigmas, picture()).result
        assert len(sample(flow, "euler", sigmas, picture(batch=3))) == 3

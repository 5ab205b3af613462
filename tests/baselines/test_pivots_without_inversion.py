"""Pivots without an inversion: seeded noise, a scene's own trajectory, and a pivot moved onto an edited picture."""

from functools import partial

import pytest
import torch
from comfy import samplers
from comfy.model_base import ModelType
from comfy.model_sampling import CONST, EPS
from comfy.nested_tensor import NestedTensor
from comfy_extras.nodes_custom_sampler import DisableNoise, RandomNoise, SamplerCustomAdvanced
from customenhancer.baselines.noise_pivot import noise_pivot, shift_pivot
from customenhancer.nodes.inversion import RecordResidualNoiseNode
from customenhancer.nodes.pivots import NoisePivotNode, RecordTrajectoryNode, ShiftPivotNode
from customenhancer.resinversion import record_residual_noise, residual_noise
from helpers.functions import ascending_schedule, chaotic_function, model_picture, sample_along
from helpers.sampling import SCALE, picture, sample_back, schedule
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from standins.analytic import chaotic_model, gaussian_euler, gaussian_model, guider

PREDICTIONS = [ModelType.EPS, ModelType.V_PREDICTION, ModelType.FLOW]
NOISE_SCALINGS = {"eps": EPS().noise_scaling, "flow": CONST().noise_scaling}


def flow_picture(model, seed=0, batch=1):
    """A latent as a VAE encodes it, of unit variance in the model's space."""
    scale = SCALE if model.get_model_object("latent_format").scale_factor == 1 else 1
    return {"samples": picture(batch, seed)["samples"] * scale}


class TestNoisePivot:
    SIGMAS = ascending_schedule("karras", 12)

    def noises(self, seed, batch=1, **options):
        x = model_picture(1, batch)
        pivot = noise_pivot(x, self.SIGMAS, seed, **options)
        assert torch.equal(pivot.anchors[0], x) and torch.equal(pivot.sigmas, self.SIGMAS)
        return (pivot.anchors[1:] - x) / self.SIGMAS[1:].reshape(-1, 1, 1, 1, 1)

    def test_each_step_has_standard_normal_noise_of_its_own(self):
        x = torch.zeros(1, 4, 64, 64)
        anchors = noise_pivot(x, self.SIGMAS, 5).anchors[1:]
        noises = (anchors / self.SIGMAS[1:].reshape(-1, 1, 1, 1, 1)).flatten(1)
        assert noises.mean(1).abs().max() < 0.05 and (noises.std(1) - 1).abs().max() < 0.05
        correlations = torch.corrcoef(noises) - torch.eye(len(noises))
        assert correlations.abs().max() < 0.05

    def test_the_noise_is_the_seeds_alone(self):
        generator = torch.Generator().manual_seed(7)
        expected = torch.stack([torch.randn(4, 8, 8, generator=generator) for _ in range(12)])
        torch.testing.assert_close(self.noises(7)[:, 0], expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(self.noises(7), self.noises(7))
        assert not torch.equal(self.noises(7), self.noises(8))

    def test_the_first_of_a_batch_gets_the_noise_that_it_gets_alone(self):
        batch = self.noises(7, batch=3)
        expected = self.noises(7)[:, 0]
        torch.testing.assert_close(batch[:, 0], expected, rtol=1e-4, atol=1e-4)
        assert (batch[:, 1] - batch[:, 0]).abs().max() > 1

    def test_global_random_state_and_input_stay_as_they_were(self):
        x, state = model_picture(2).half(), torch.get_rng_state()
        before = x.clone()
        pivot = noise_pivot(x, self.SIGMAS, 2**64 - 1)
        assert torch.equal(torch.get_rng_state(), state) and torch.equal(x, before)
        assert pivot.anchors.dtype == torch.float32


@pytest.mark.parametrize("scaling", NOISE_SCALINGS)
def test_a_noise_pivot_shifted_is_the_noise_pivot_of_the_other_picture(scaling):
    """Two ways to the same trajectory; the flow model's picture fades with sigma, and so must the edit."""
    x, edited, sigmas = model_picture(1, 2), model_picture(2, 2), torch.linspace(0, 1, 9)
    noised = partial(noise_pivot, sigmas=sigmas, seed=3, noise_scaling=NOISE_SCALINGS[scaling])
    shifted = shift_pivot(noised(x), edited, noise_scaling=NOISE_SCALINGS[scaling])
    torch.testing.assert_close(shifted.anchors, noised(edited).anchors, rtol=1e-5, atol=1e-5)
    assert torch.equal(shifted.anchors[0], edited)


def test_a_shift_by_nothing_changes_nothing():
    x = model_picture(1)
    pivot = noise_pivot(x, ascending_schedule("normal", 5), 1)
    before = pivot.anchors.clone()
    assert torch.equal(shift_pivot(pivot, x).anchors, before)
    shift_pivot(pivot, x + 1)
    assert torch.equal(pivot.anchors, before)


@given(
    seed=st.integers(0, 2**64 - 1),
    steps=st.integers(1, 40),
    batch=st.integers(1, 3),
    name=st.sampled_from(samplers.SCHEDULER_NAMES),
    shifted=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_any_model_walks_back_along_any_such_pivot(seed, steps, batch, name, shifted):
    sigmas, x = ascending_schedule(name, steps), model_picture(3, batch)
    assume(sigmas.isfinite().all())
    pivot = noise_pivot(x, sigmas, seed)
    if shifted:
        x = model_picture(4, batch)
        pivot = shift_pivot(pivot, x)
    model = chaotic_function(steps)
    assert (sample_along(model, record_residual_noise(model, pivot)) - x).abs().max() <= 1e-5


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_noise_pivot_node_is_in_the_models_own_space(prediction):
    """At each sigma the pivot is the picture as the host's samplers noise it, with this step's noise."""
    model = gaussian_model(prediction)
    latent, sigmas = flow_picture(model), schedule(model)
    pivot, noisy = NoisePivotNode.execute(model, sigmas, latent, 5).result
    x = latent["samples"] * (1 if prediction is ModelType.FLOW else SCALE)
    generator = torch.Generator().manual_seed(5)
    for sigma, anchor in zip(pivot.sigmas[1:], pivot.anchors[1:], strict=True):
        noise = torch.randn(x.shape, generator=generator)
        expected = (1 - sigma) * x + sigma * noise if prediction is ModelType.FLOW else x + sigma * noise
        torch.testing.assert_close(anchor, expected, rtol=1e-5, atol=1e-5)
    assert noisy["samples"].isfinite().all()
    if prediction is not ModelType.FLOW:
        torch.testing.assert_close(noisy["samples"] * SCALE, pivot.anchors[-1])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_chaotic_model_walks_back_along_a_noise_pivot(prediction):
    model = chaotic_model(3, prediction)
    latent, sigmas, flow = flow_picture(model, batch=2), schedule(model), guider(model)
    latent["noise_mask"] = torch.ones(1, 1, 8, 8)
    pivot, noisy = NoisePivotNode.execute(model, sigmas, latent).result
    residual_noise = RecordResidualNoiseNode.execute(flow, pivot).result[0]
    assert (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5
    assert "noise_mask" in noisy and set(latent) == {"samples", "noise_mask"}


class HeardGuider(samplers.CFGGuider):
    """The host's CFGGuider that notes where its model is asked."""

    def predict_noise(self, x, timestep, *args, **kwargs):
        self.__dict__.setdefault("heard", []).append((timestep[0].item(), x.clone()))
        return super().predict_noise(x, timestep, *args, **kwargs)


def generate(flow, sampler_name, sigmas, latent=None, node=RecordTrajectoryNode, noise=None):
    noise = noise or RandomNoise.execute(9).result[0]
    latent = latent or {"samples": torch.zeros(2, 4, 8, 8)}
    return node.execute(noise, flow, samplers.sampler_object(sampler_name), sigmas, latent).result


RECORDED = [name for name in samplers.SAMPLER_NAMES if name not in ("dpm_fast", "dpm_adaptive")]


class TestTrajectory:
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_eulers_trajectory_is_that_of_the_closed_form(self, prediction):
        model, is_flow = gaussian_model(prediction), prediction is ModelType.FLOW
        flow, sigmas = guider(model, (0.5, 0.8), (0.0, 1.0), cfg=3.0), schedule(model, steps=10)
        latent, trajectory = generate(flow, "euler", sigmas)
        noise = RandomNoise.execute(9).result[0].generate_noise({"samples": torch.zeros(2, 4, 8, 8)})
        start = noise * sigmas[0] if is_flow else noise * (1 + sigmas[0] ** 2) ** 0.5
        flows = [(3.0, 0.5, 0.8), (-2.0, 0.0, 1.0)]
        for k in range(11):
            expected = gaussian_euler(start, sigmas[: k + 1], flows, is_flow)
            torch.testing.assert_close(trajectory.anchors[10 - k], expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(trajectory.anchors[0], latent["samples"] * (1 if is_flow else SCALE))
        assert torch.equal(trajectory.sigmas, sigmas.flip(0))

    @pytest.mark.parametrize("name", RECORDED)
    def test_every_sampler_is_recorded_where_it_asks_its_model(self, name):
        """Any number of calls a step: the anchor of a sigma is an x that the model was asked about at that sigma."""
        model = gaussian_model()
        flow, sigmas = HeardGuider(model), schedule(model, steps=8)
        flow.__dict__.update(guider(model).__dict__)
        latent, trajectory = generate(flow, name, sigmas)
        for sigma, anchor in zip(trajectory.sigmas[1:], trajectory.anchors[1:], strict=True):
            distances = [(x - anchor).abs().max() for at, x in flow.heard if abs(at / sigma.item() - 1) < 1e-4]
            assert min(distances) <= 1e-5 * max(1, anchor.abs().max())
        torch.testing.assert_close(trajectory.anchors[0], latent["samples"] * SCALE)

    @pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "ddim"])
    def test_the_scene_is_the_one_of_the_stock_node(self, name):
        model = chaotic_model(2)
        flow, sigmas = guider(model), schedule(model)
        recorded, _ = generate(flow, name, sigmas)
        stock = generate(flow, name, sigmas, node=SamplerCustomAdvanced)[0]
        assert torch.equal(recorded["samples"], stock["samples"])

    @pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
    def test_from_each_anchor_on_the_sampler_ends_at_the_same_scene(self, name):
        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model, steps=8)
        latent, trajectory = generate(flow, name, sigmas)
        for k in range(1, 8):
            start = {"samples": trajectory.anchors[8 - k] / SCALE}
            no_noise = DisableNoise.execute().result[0]
            end = generate(flow, name, sigmas[k:], start, SamplerCustomAdvanced, no_noise)[0]
            torch.testing.assert_close(end["samples"], latent["samples"], rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize("prediction", PREDICTIONS)
    def test_an_edited_scene_is_reached_exactly_along_it(self, prediction):
        model = chaotic_model(4, prediction)
        flow, sigmas = guider(model), schedule(model)
        latent, trajectory = generate(flow, "dpmpp_2m", sigmas)
        edited = {"samples": latent["samples"] + torch.randn(2, 4, 8, 8)}
        pivot, noisy = ShiftPivotNode.execute(model, trajectory, edited).result
        scale = 1 if prediction is ModelType.FLOW else SCALE
        torch.testing.assert_close(pivot.anchors[0], edited["samples"] * scale)
        torch.testing.assert_close(noisy["samples"] * scale, pivot.anchors[-1])
        residual_noise = RecordResidualNoiseNode.execute(flow, pivot).result[0]
        # Into the model's space and back, each number moves by a few units in the last place.
        reached = sample_back(flow, residual_noise, sigmas, noisy)
        torch.testing.assert_close(reached, edited["samples"], rtol=1e-6, atol=1e-5)

    def test_a_scenes_own_trajectory_has_no_residual_noise_under_euler(self):
        """Euler's steps are the model's own, so there is nothing that they lack."""
        model = gaussian_model()
        flow, sigmas = guider(model), schedule(model)
        trajectory = generate(flow, "euler", sigmas)[1]
        residuals = residual_noise(RecordResidualNoiseNode.execute(flow, trajectory).result[0])
        assert residuals.abs().max() <= 1e-3
        ancestral = generate(flow, "euler_ancestral", sigmas)[1]
        assert residual_noise(RecordResidualNoiseNode.execute(flow, ancestral).result[0]).abs().max() > 0.1


class SkippingSampler(samplers.Sampler):
    """A SAMPLER that asks the model at one sigma only."""

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *args, **kwargs):
        return model_wrap(noise, sigmas[1] * noise.new_ones([len(noise)]), **extra_args)


class TestBadInput:
    """Each error names the input and what to do."""

    @pytest.mark.parametrize("name", ["dpm_fast", "dpm_adaptive"])
    def test_a_sampler_that_leaves_the_schedule_is_refused(self, name):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^sampler: left out .* of the schedule's 20 sigmas"):
            generate(guider(model), name, schedule(model))

    def test_a_sampler_that_skips_steps_is_refused(self):
        model = gaussian_model()
        sigmas, noise = schedule(model, steps=4), DisableNoise.execute().result[0]
        with pytest.raises(ValueError, match=r"^sampler: left out 3 of the schedule's 4 sigmas"):
            RecordTrajectoryNode.execute(noise, guider(model), SkippingSampler(), sigmas, picture())

    @pytest.mark.parametrize(
        ("sigmas", "says"),
        [([], "0 values"), ([1.0, 2.0], "must descend"), ([2.0, 1.0], "ends at 1"), ([float("nan"), 0.0], "NaN")],
    )
    def test_sigmas_that_make_no_descending_schedule_are_refused(self, sigmas, says):
        model = gaussian_model()
        with pytest.raises(ValueError, match=f"^sigmas: .*{says}"):
            generate(guider(model), "euler", torch.tensor(sigmas))
        with pytest.raises(ValueError, match=f"^sigmas: .*{says}"):
            NoisePivotNode.execute(model, torch.tensor(sigmas), picture())

    def test_latents_that_are_nested_or_not_finite_are_refused(self):
        model = gaussian_model()
        pivot = NoisePivotNode.execute(model, schedule(model), picture()).result[0]
        nested = {"samples": NestedTensor([picture()["samples"]] * 2)}
        broken = {"samples": picture()["samples"] / 0}
        for latent, says in ((nested, "joins several"), (broken, "NaN or Inf")):
            for run in (
                lambda latent: NoisePivotNode.execute(model, schedule(model), latent),
                lambda latent: generate(guider(model), "euler", schedule(model), latent),
                lambda latent: ShiftPivotNode.execute(model, pivot, latent),
            ):
                with pytest.raises(ValueError, match=f"^latent_image: .*{says}"):
                    run(latent)

    @pytest.mark.parametrize("shape", [(2, 4, 8, 8), (1, 4, 8, 16)])
    def test_an_edited_picture_of_another_size_or_batch_is_refused(self, shape):
        model = gaussian_model()
        pivot = NoisePivotNode.execute(model, schedule(model), picture()).result[0]
        with pytest.raises(ValueError, match=r"^latent_image: its shape .* is not that of the pivot's picture"):
            ShiftPivotNode.execute(model, pivot, {"samples": torch.ones(shape)})

    def test_a_pivot_of_another_model_kind_is_refused(self):
        model = gaussian_model(ModelType.V_PREDICTION)
        pivot = NoisePivotNode.execute(model, schedule(model), picture()).result[0]
        with pytest.raises(ValueError, match=r"^pivot: was recorded with a model of another kind"):
            ShiftPivotNode.execute(gaussian_model(), pivot, picture())

    def test_a_model_that_overflows_is_refused(self):
        model = gaussian_model()
        with pytest.raises(ValueError, match=r"^guider: its model predicted NaN or Inf"):
            generate(guider(model, positive=(float("nan"), 1.0)), "euler", schedule(model))

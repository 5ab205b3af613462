"""Residual noise recorded several steps a guider call: the same as one step at a time, or refused."""

import itertools
import math

import pytest
import torch
from comfy import samplers
from comfy.controlnet import ControlBase
from comfy.model_base import ModelType
from customenhancer.baselines.noise_pivot import noise_pivot
from customenhancer.nodes.flows import TripleFlowGuiderNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode
from customenhancer.nodes.pivots import NoisePivotNode
from customenhancer.resinversion import record_residual_noise
from helpers.functions import ascending_schedule, model_picture
from helpers.guiders import CountedGuider, flow_of
from helpers.sampling import picture, sample_back, schedule
from helpers.weighted_flows import lora_hooks
from hypothesis import given, settings
from hypothesis import strategies as st
from standins.analytic import chaotic_model, conditioning, gaussian_model, guider
from standins.weighted import weighted_model


@given(steps=st.integers(1, 40), steps_per_call=st.integers(1, 50), batch=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_function_records_the_same_in_fewer_calls(steps, steps_per_call, batch, seed):
    """With a model that treats each number by itself, to the last bit."""

    def posterior_mean(x, sigma):
        return x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)

    pivot = noise_pivot(model_picture(seed, batch), ascending_schedule("normal", steps), seed)
    asked = []

    def model(x, sigma):
        asked.append(sigma)
        return posterior_mean(x, sigma)

    batched = record_residual_noise(model, pivot, steps_per_call=steps_per_call)
    assert torch.equal(batched.predictions, record_residual_noise(posterior_mean, pivot).predictions)
    assert len(asked) == math.ceil(steps / steps_per_call)
    assert torch.equal(torch.cat(asked), pivot.sigmas[1:].flip(0).repeat_interleave(batch))


def test_a_videos_latents_are_recorded_the_same_in_fewer_calls():
    def model(x, sigma):
        return x * sigma.reshape(-1, 1, 1, 1, 1)

    pivot = noise_pivot(torch.ones(2, 4, 3, 8, 8), torch.linspace(0, 1, 8), 1)
    batched = record_residual_noise(model, pivot, steps_per_call=4)
    assert torch.equal(batched.predictions, record_residual_noise(model, pivot).predictions)


def recorded(flow, pivot, steps_per_call):
    return RecordResidualNoiseNode.execute(flow, pivot, steps_per_call).result[0]


@pytest.mark.parametrize("prediction", [ModelType.EPS, ModelType.V_PREDICTION, ModelType.FLOW])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_node_records_the_same(prediction, batch, measured):
    """On a model that mixes neighbours: batches may be summed in another order, so not to the last bit."""
    model = chaotic_model(1, prediction)
    pivot = NoisePivotNode.execute(model, schedule(model), picture(batch)).result[0]
    flow = flow_of(CountedGuider, model)
    single = recorded(flow, pivot, 1)
    assert flow.calls == 20
    for steps_per_call in (2, 6, 20, 100):
        flow.calls = 0
        batched = recorded(flow, pivot, steps_per_call)
        assert flow.calls == math.ceil(20 / steps_per_call)
        difference = (batched.predictions - single.predictions).abs().max().item()
        measured(f"{steps_per_call} steps a call, chaotic MODEL, {prediction.name}, batch {batch}", difference)
        torch.testing.assert_close(batched.predictions, single.predictions, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("steps_per_call", [3, 20])
def test_any_pivot_is_walked_back(steps_per_call):
    model = gaussian_model()
    flow, sigmas, latent = guider(model), schedule(model), picture(2)
    inverted, noisy = DDIMInversionNode.execute(flow, sigmas, latent).result
    noised = NoisePivotNode.execute(model, sigmas, latent).result[0]
    for pivot in (inverted, noised):
        residual_noise = recorded(flow, pivot, steps_per_call)
        assert (sample_back(flow, residual_noise, sigmas, noisy) - latent["samples"]).abs().max() <= 1e-5


def people(*pairs, **options):
    """CONDITIONING of one Gaussian for each picture of the batch."""
    return [[torch.tensor([[pair] for pair in pairs]), options]]


def with_positive(model, positive):
    flow = samplers.CFGGuider(model)
    flow.set_conds(positive, conditioning(0.0, 1.0))
    flow.set_cfg(5.0)
    return flow


def pivot_of(model, batch):
    return NoisePivotNode.execute(model, schedule(model), picture(batch)).result[0]


def masks(count):
    return torch.stack([torch.full((8, 8), 0.2 + 0.2 * n).tril() for n in range(count)])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_each_picture_keeps_its_own_conditioning_and_mask(count):
    model = gaussian_model()
    positive = people(*[(0.5 * n, 0.8) for n in range(count)], mask=masks(count)) + conditioning(0.1, 0.5)
    flow, pivot = with_positive(model, positive), pivot_of(model, 4)
    for steps_per_call in (3, 20):
        batched = recorded(flow, pivot, steps_per_call)
        assert torch.equal(batched.predictions, recorded(flow, pivot, 1).predictions)


class StandInControl(ControlBase):
    """A ControlNet with nothing to it but its pictures and its range."""

    def __init__(self, pictures, timestep_percent_range=(0.0, 1.0)):
        super().__init__()
        self.set_cond_hint(torch.zeros(pictures, 3, 64, 64), timestep_percent_range=timestep_percent_range)

    def get_models(self):
        return []

    def get_control(self, *args, **kwargs):
        return None


def chained(*controls):
    for previous, control in itertools.pairwise(controls):
        control.set_previous_controlnet(previous)
    return controls[-1]


class TestRefused:
    """What would come out otherwise than one step at a time; each error names the input and what to do."""

    REFUSED = {
        "2 conditionings for 3 pictures": lambda: people((0.1, 0.5), (0.2, 0.5)),
        "5 conditionings for 3 pictures": lambda: people(*[(0.1, 0.5)] * 5),
        "4 masks for 3 pictures": lambda: conditioning(0.1, 0.5, mask=masks(4)),
        "2 ControlNet pictures": lambda: conditioning(0.1, 0.5, control=chained(StandInControl(2), StandInControl(1))),
        "a range": lambda: conditioning(0.1, 0.5, start_percent=0.0, end_percent=0.5),
        "a ControlNet's range": lambda: conditioning(0.1, 0.5, control=StandInControl(1, (0.3, 1.0))),
        "keyframes": lambda: conditioning(0.1, 0.5, hooks=lora_hooks(1, (1.0, 0.0), (0.5, 0.5))),
    }
    SAYS = {"conditionings|masks|pictures": "does not divide the 3", "range": "between steps", "key": "count"}

    @pytest.mark.parametrize("what", REFUSED)
    def test_what_would_differ_within_a_call_is_refused(self, what):
        says = next(says for part, says in self.SAYS.items() if any(word in what for word in part.split("|")))
        model = weighted_model()
        with pytest.raises(ValueError, match=f"^steps_per_call: .*{says}.* Set steps_per_call to 1"):
            recorded(with_positive(model, self.REFUSED[what]()), pivot_of(model, 3), 4)

    ALLOWED = {
        "3 ControlNet pictures": lambda: conditioning(0.1, 0.5, control=chained(StandInControl(3), StandInControl(1))),
        "the whole range": lambda: conditioning(0.1, 0.5, start_percent=0.0, end_percent=1.0),
        "a LoRA hook": lambda: conditioning(0.1, 0.5, hooks=lora_hooks(1)),
        "one keyframe": lambda: conditioning(0.1, 0.5, hooks=lora_hooks(1, (0.7, 0.0))),
    }

    @pytest.mark.parametrize("what", ALLOWED)
    def test_what_is_the_same_over_a_call_is_accepted(self, what):
        model = weighted_model()
        flow, pivot = with_positive(model, self.ALLOWED[what]()), pivot_of(model, 3)
        torch.testing.assert_close(recorded(flow, pivot, 4).predictions, recorded(flow, pivot, 1).predictions)

    def test_a_range_that_ends_between_two_calls_is_accepted(self):
        """Steps of 4 calls of 5; the range is that of the first 2."""
        model = gaussian_model()
        sampling, sigmas = model.get_model_object("model_sampling"), schedule(model)
        end = 1 - sampling.timestep((sigmas[9] + sigmas[10]) / 2).item() / 999
        positive = conditioning(0.1, 0.5, start_percent=0.0, end_percent=end) + conditioning(0.3, 0.7)
        flow, pivot = with_positive(model, positive), pivot_of(model, 1)
        assert torch.equal(recorded(flow, pivot, 5).predictions, recorded(flow, pivot, 1).predictions)
        with pytest.raises(ValueError, match=r"^steps_per_call: .* between steps"):
            recorded(flow, pivot, 4)

    def test_a_triple_flow_guider_is_refused(self):
        model = gaussian_model()
        flow = TripleFlowGuiderNode.execute(guider(model), guider(model, (-0.4, 0.3))).result[0]
        with pytest.raises(ValueError, match=r"^steps_per_call: Triple-Flow Guider"):
            recorded(flow, pivot_of(model, 1), 2)
        recorded(flow, pivot_of(model, 1), 1)

    def test_a_refusal_leaves_the_guider_usable(self):
        model = gaussian_model()
        flow = with_positive(model, people((0.1, 0.5), (0.2, 0.5)))
        with pytest.raises(ValueError, match="steps_per_call"):
            recorded(flow, pivot_of(model, 3), 4)
        recorded(flow, pivot_of(model, 2), 4)

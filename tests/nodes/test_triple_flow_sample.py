"""The one-box sampling against the separate nodes, the strength of its flows in closed form, and their plot."""

import inspect

import pytest
import torch
from comfy.model_base import ModelType
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced
from customenhancer.drawing.pen import COLOURS
from customenhancer.drawing.plots import LEFT, ZERO
from customenhancer.host.flow_norms import FlowNorms
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode, TripleFlowSampleNode
from customenhancer.nodes.seeing import FlowInspectorNode
from customenhancer.resinversion import residual_noise
from helpers.guiders import FORWARD, PIVOT, AskedGuider, guided
from helpers.plots import near
from helpers.sampling import SCALE, invert, picture, schedule
from standins.analytic import chaotic_model, gaussian_model, guider

pytestmark = pytest.mark.usefixtures("temporary_folder")

STEPS, START = 8, 3


def separate(pivot, forward, recorded, latent, start_step=START, forward_scale=1.0, backward_scale=1.0, **regions):
    """What Triple-Flow Guider, BiMD Sampler and SamplerCustomAdvanced give."""
    first, second = ({key: regions[key] for key in regions if key.startswith(flow)} for flow in ("forward", "backward"))
    flow = TripleFlowGuiderNode.execute(pivot, forward, start_step, forward_scale, **first).result[0]
    sampler = BiMDSamplerNode.execute(recorded, backward_scale, **second).result[0]
    noise = DisableNoise.execute().result[0]
    return SamplerCustomAdvanced.execute(noise, flow, sampler, recorded.sigmas.flip(0), latent).result


def joined(pivot, forward, recorded, latent, start_step=START, forward_scale=1.0, backward_scale=1.0, **regions):
    scales = start_step, forward_scale, backward_scale
    return TripleFlowSampleNode.execute(pivot, forward, recorded, latent, *scales, **regions).result


def rms(x):
    return x.double().square().mean().sqrt().item()


SCALES = [(START, 1.0, 1.0), (START, 0.5, 1.0), (0, 2.0, 0.3), (0, 1.0, 0.0), (START, 0.0, 1.0), (STEPS, 1.0, 1.0)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("start_step", "forward_scale", "backward_scale"), SCALES)
class TestAsTheSeparateNodes:
    def test_the_latent_is_the_same_to_the_last_bit(self, start_step, forward_scale, backward_scale, masked):
        model = chaotic_model(4)
        pivot, forward = guider(model, PIVOT), guider(model, FORWARD)
        recorded, noisy = invert(pivot, schedule(model, steps=STEPS), picture(batch=2))
        if masked:
            noisy["noise_mask"] = torch.zeros(1, 1, 8, 8)
            noisy["noise_mask"][..., :4] = 1
        scales = start_step, forward_scale, backward_scale
        expected, last_denoised = separate(pivot, forward, recorded, noisy, *scales)
        latent, trajectory, _ = joined(pivot, forward, recorded, noisy, *scales)
        assert torch.equal(latent["samples"], expected["samples"])
        assert latent.keys() == expected.keys()
        assert torch.equal(trajectory["samples"][-2:], last_denoised["samples"])

    def test_the_guider_calls_and_previews_are_the_same(
        self, start_step, forward_scale, backward_scale, masked, previews
    ):
        model = gaussian_model()
        pivot, forward = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD)
        recorded, noisy = invert(pivot, schedule(model, steps=STEPS), picture(batch=2))
        if masked:
            noisy["noise_mask"] = torch.full((1, 1, 8, 8), 0.5)
        asked, told, frames = [], [], None
        for run in (separate, joined):
            pivot.asked.clear(), forward.asked.clear(), previews.clear()
            frames = run(pivot, forward, recorded, noisy, start_step, forward_scale, backward_scale)[1]["samples"]
            asked.append((len(pivot.asked), len(forward.asked)))
            told.append(torch.cat(previews))
        assert asked[0] == asked[1] and torch.equal(*told)
        torch.testing.assert_close(frames, told[0] / SCALE)


@pytest.mark.parametrize("forward_scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("backward_scale", [0.3, 1.0])
def test_the_strength_of_each_flow_is_that_of_the_closed_form(forward_scale, backward_scale):
    """Where the forward flow alone is asked, the pivot flow is the recorded one, in the anchor's closed form."""
    model = gaussian_model()
    pivot, forward = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD)
    recorded, noisy = invert(pivot, schedule(model, steps=STEPS), picture(batch=2))
    pivot.asked.clear()
    norms = joined(pivot, forward, recorded, noisy, START, forward_scale, backward_scale)[2]
    asked = pivot.asked[:START] + forward.asked
    alone = [k >= START and forward_scale == 1 for k in range(STEPS)]
    assert norms.at_anchor.tolist() == alone
    anchors, sigmas = recorded.anchors.double(), recorded.sigmas.double()
    for k, (x, sigma) in enumerate(asked):
        i, x, sigma = STEPS - k, x.double(), sigma.double()
        s = sigmas[i]
        at_anchor = (anchors[i] - guided(anchors[i], sigma, PIVOT)) / s
        free = at_anchor if alone[k] else (x - guided(x, sigma, PIVOT)) / s
        identity = (x - guided(x, sigma, FORWARD)) / s
        r = (anchors[i] - anchors[i - 1]) / (s - sigmas[i - 1]) - at_anchor
        expected = rms(free), backward_scale * rms(r), (forward_scale if k >= START else 0.0) * rms(identity - free)
        actual = norms.pivot[k], norms.backward[k], norms.forward[k]
        assert [value.item() for value in actual] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert norms.forward[:START].count_nonzero() == 0


def test_masks_and_curves_are_those_of_the_separate_nodes_and_count_in_the_strength():
    """The backward flow is as strong as b, by step and place, makes the recorded residual noise."""
    model = gaussian_model()
    pivot, forward = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD)
    recorded, noisy = invert(pivot, schedule(model, steps=STEPS), picture(batch=2))
    height, width = (8 * side for side in noisy["samples"].shape[-2:])
    left, rising = torch.zeros(1, height, width), {"points": [(0, 0.25), (1, 1)], "interpolation": "linear"}
    left[..., : width // 2] = 1
    regions = {"forward_mask": left, "forward_curve": rising, "backward_mask": left, "backward_curve": rising}
    flows = pivot, forward, recorded, noisy, START, 0.5, 0.8
    latent, _, norms = joined(*flows, **regions)
    assert torch.equal(latent["samples"], separate(*flows, **regions)[0]["samples"])
    for k in range(STEPS):
        b, r = 0.8 * (0.25 + 0.75 * k / (STEPS - 1)), residual_noise(recorded)[STEPS - k - 1].clone()
        r[..., r.shape[-1] // 2 :] = 0
        assert norms.backward[k].item() == pytest.approx(b * rms(r), rel=1e-4)


@pytest.mark.parametrize("forward_scale", [0.0, 0.5, 1.0])
def test_a_run_that_stays_on_the_pivot_has_no_forward_flow(forward_scale):
    """The recorded prediction that stands in for the pivot flow is then the very one."""
    model = chaotic_model(5)
    flow = guider(model, PIVOT)
    recorded, noisy = invert(flow, schedule(model, steps=STEPS), picture())
    norms = joined(flow, guider(model, PIVOT), recorded, noisy, 0, forward_scale)[2]
    assert norms.forward.max() <= 1e-5
    predictions = recorded.predictions.flip(0).flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(norms.pivot, predictions, rtol=1e-4, atol=1e-5)


def test_the_recorded_pivot_flow_is_near_the_one_that_was_not_asked(measured):
    """At the starting step, still on the pivot, it is the very one; later the latent has gone its own way."""
    model = gaussian_model()
    pivot, forward = guider(model, PIVOT), AskedGuider(model, FORWARD)
    recorded, noisy = invert(pivot, schedule(model, steps=20), picture())
    norms = joined(pivot, forward, recorded, noisy, 10)[2]
    exact = []
    for x, sigma in forward.asked:
        free, identity = guided(x, sigma, PIVOT), guided(x, sigma, FORWARD)
        exact.append((rms((x - free) / sigma), rms((free - identity) / sigma)))
    pivot_norms, forward_norms = torch.tensor(exact).unbind(dim=1)
    for name, ring, true in (("pivot", norms.pivot[10:], pivot_norms), ("forward", norms.forward[10:], forward_norms)):
        errors = (ring / true - 1).abs()
        assert errors[0] < 1e-3
        measured(f"{name} flow's norm at scale 1, recorded against asked, Gaussian MODEL, largest error", errors.max())


def test_a_pivot_flow_that_is_itself_of_two_flows_counts_as_one():
    model = gaussian_model()
    both = TripleFlowGuiderNode.execute(guider(model, PIVOT), guider(model, FORWARD), 0, 0.5).result[0]
    recorded, noisy = invert(both, schedule(model, steps=STEPS), picture())
    off, half = (joined(both, guider(model, FORWARD), recorded, noisy, 0, scale)[2] for scale in (0.0, 0.5))
    assert off.forward.count_nonzero() == 0 and half.forward.min() > 0
    predictions = recorded.predictions.flip(0).flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(off.pivot, predictions, rtol=1e-4, atol=1e-5)
    assert not off.at_anchor.any() and not half.at_anchor.any()


def test_its_inputs_are_those_of_the_separate_nodes():
    entries = TripleFlowSampleNode.define_schema().inputs
    inputs = {entry.id: entry.as_dict() for entry in entries}
    for node in (TripleFlowGuiderNode, BiMDSamplerNode):
        assert {entry.id: entry.as_dict() for entry in node.define_schema().inputs}.items() <= inputs.items()
    taken = inspect.signature(TripleFlowSampleNode.execute).parameters.values()
    assert {one.name for one in taken} == set(inputs)
    assert {one.name: one.default for one in taken if one.default is not one.empty} == {
        entry.id: getattr(entry, "default", None) for entry in entries if entry.optional
    }


class TestBadInput:
    """Each error names the input and what to do."""

    def test_a_latent_of_another_size_is_refused(self):
        model = gaussian_model()
        recorded, _ = invert(guider(model), schedule(model), picture())
        with pytest.raises(ValueError, match=r"^latent_image: its shape .* is not that of the inverted picture"):
            joined(guider(model), guider(model), recorded, picture(batch=2))

    def test_a_recording_or_a_flow_of_another_model_kind_is_refused(self):
        eps, v = gaussian_model(), gaussian_model(ModelType.V_PREDICTION)
        recorded, noisy = invert(guider(eps), schedule(eps), picture())
        with pytest.raises(ValueError, match=r"^residual_noise: was recorded with a model of another kind"):
            joined(guider(v), guider(v), recorded, noisy)
        with pytest.raises(ValueError, match=r"^forward_flow: its MODEL is of another kind"):
            joined(guider(eps), guider(v), recorded, noisy)

    def test_norms_that_are_not_finite_are_refused(self):
        bad = torch.tensor([1.0, float("nan")])
        with pytest.raises(ValueError, match=r"^flow_norms: holds NaN or Inf.*--fp32-unet"):
            FlowInspectorNode.execute(FlowNorms(bad, bad, bad, torch.tensor([False, False])))


class TestInspector:
    def norms(self, *at_anchor):
        one = torch.ones(len(at_anchor))
        return FlowNorms(one, one * 0.1, one * 0.0, torch.tensor(at_anchor))

    def test_it_shows_the_plot_and_tells_what_is_not_exact(self, temporary_folder):
        output = FlowInspectorNode.execute(self.norms(False, True, True))
        assert output.result[0].shape == (1, 512, 768, 3)
        (shown,) = output.ui["images"]
        assert (temporary_folder / shown["filename"]).is_file()
        assert "At 2 of 3 steps only the forward flow was evaluated" in output.ui["text"][0]
        assert "all values are exact" in FlowInspectorNode.execute(self.norms(False, False)).ui["text"][0]

    def test_all_three_flows_are_drawn_and_no_flow_lies_at_zero(self):
        pixels = (FlowInspectorNode.execute(self.norms(False, False, False)).result[0][0].numpy() * 255).astype(int)
        for colour in COLOURS[:3]:
            assert near(pixels, colour)[130:].any(), colour
        assert near(pixels, COLOURS[2])[ZERO - 2 : ZERO + 3, LEFT + 20 : LEFT + 60].any()

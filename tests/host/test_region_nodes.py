"""Masks and curves at the nodes: the host's MASK and CURVE on the forward and backward flow, inside its sampling."""

import logging

import comfy.samplers
import numpy as np
import pytest
import torch
from comfy.nested_tensor import NestedTensor
from comfy_api.input import CurveInput
from comfy_extras.nodes_curve import CurveEditor
from customenhancer.host.recordings import ModelRecording
from customenhancer.host.regions import curve_values, read_curve, region_mask
from customenhancer.nodes.flows import TripleFlowSampleNode
from helpers.guiders import FORWARD, PIVOT, AskedGuider
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from standins.analytic import chaotic_model, gaussian_model, guider
from standins.control import SHALLOW_UNET
from standins.instantid_host import text
from standins.photomaker_host import sdxl_model

OTHER = (2.0, 0.5)
ONE = [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0)]


def columns(first, last, size=64):
    """A pixel mask of the latent's columns first .. last - 1, each 8 pixels wide where size is 64."""
    mask = torch.zeros(1, size, size)
    mask[..., first * size // 8 : last * size // 8] = 1
    return mask


def curve(*points, interpolation="linear"):
    """What the stock Curve Editor gives."""
    return CurveEditor.execute({"points": points, "interpolation": interpolation}).result[0]


@pytest.fixture(scope="module")
def scene():
    """MODEL, pivot flow, sigmas, and the picture's residual noise and noisy latent."""
    model = gaussian_model()
    pivot, sigmas = guider(model, PIVOT), schedule(model)
    return model, pivot, sigmas, *invert(pivot, sigmas, picture(batch=2))


class TestRegions:
    @pytest.mark.parametrize("forward_scale", [0.5, 1.0])
    def test_outside_the_mask_is_the_pivot_flow_and_inside_the_unmasked_run(self, scene, forward_scale):
        model, pivot, sigmas, residual_noise, noisy = scene
        forward, options = guider(model, FORWARD), {"forward_scale": forward_scale}

        def steps(flow):
            seen, zeros = [], torch.zeros_like(noisy["samples"])
            end = flow.sample(
                zeros, noisy["samples"], bimd(residual_noise), sigmas, callback=lambda k, x0, x, n: seen.append(x0)
            )
            return torch.stack([*seen, end])

        masked = steps(triple_flow(pivot, forward, forward_mask=columns(0, 3), **options))
        assert torch.equal(masked[..., 3:], steps(pivot)[..., 3:])
        assert torch.equal(masked[..., :3], steps(triple_flow(pivot, forward, **options))[..., :3])
        assert not torch.equal(masked[..., :3], steps(pivot)[..., :3])

    def test_two_people_agree_nested_either_way(self, scene):
        model, pivot, sigmas, residual_noise, noisy = scene
        one = guider(model, FORWARD), {"forward_mask": columns(0, 3)}
        two = guider(model, OTHER), {"forward_mask": columns(5, 8), "start_step": 14}
        drawn = []
        for (first, mine), (second, its) in ((one, two), (two, one)):
            flow = triple_flow(triple_flow(pivot, first, **mine), second, **its)
            drawn.append(sample(flow, bimd(residual_noise), sigmas, noisy))
            assert torch.equal(sample(flow, bimd(residual_noise), sigmas, noisy), drawn[-1])  # queued again
        assert torch.equal(*drawn)
        for (forward, options), place in ((one, slice(0, 3)), (two, slice(5, 8))):
            alone = sample(triple_flow(pivot, forward, **options), bimd(residual_noise), sigmas, noisy)
            assert torch.equal(drawn[0][..., place], alone[..., place])
        assert (drawn[0][..., 3:5] - picture(batch=2)["samples"][..., 3:5]).abs().max() <= 1e-5

    def test_a_mask_for_each_picture_and_of_any_size(self, scene):
        model, pivot, sigmas, residual_noise, noisy = scene
        masks = torch.cat([columns(0, 8, 24), columns(4, 8, 24)])
        kept = masks.clone()
        forward = guider(model, FORWARD)
        masked = sample(triple_flow(pivot, forward, forward_mask=masks), bimd(residual_noise), sigmas, noisy)
        whole = sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
        assert torch.equal(masked[0], whole[0]) and torch.equal(masked[1, ..., 4:], whole[1, ..., 4:])
        assert (masked[1, ..., :4] - picture(batch=2)["samples"][1, ..., :4]).abs().max() <= 1e-5
        assert torch.equal(masks, kept)

    def test_the_curve_is_the_scale_of_each_step(self, scene):
        """Against Euler steps of eq. 4 written out, on the guiders' own predictions."""
        model, pivot, sigmas, residual_noise, noisy = scene
        forward, ramp = guider(model, FORWARD), curve((0.0, 0.2), (1.0, 0.9))
        flow = triple_flow(pivot, forward, start_step=5, forward_scale=1.5, forward_curve=ramp)
        fall = curve((0.0, 1.0), (0.5, 0.2), (1.0, 0.6))
        ours = sample(flow, bimd(residual_noise, backward_scale=0.8, backward_curve=fall), sigmas, noisy)

        s, x = sigmas.double(), residual_noise.anchors[-1].double()
        forward_scale = 1.5 * np.interp(np.arange(20) / 19, [0, 1], [0.2, 0.9])
        backward_scale = 0.8 * np.interp(np.arange(20) / 19, [0, 0.5, 1], [1.0, 0.2, 0.6])
        anchors, predictions = residual_noise.anchors.double(), residual_noise.predictions.double()

        def eps(mean_and_std, x, sigma):
            """Guided at 5 against N(0, 1), the noise prediction of N(mean, std^2)."""
            mean, std = mean_and_std
            own = (x - mean) * sigma / (std**2 + sigma**2)
            return 5 * own - 4 * x * sigma / (1 + sigma**2)

        for k in range(20):
            i = 20 - k
            r = (anchors[i] - anchors[i - 1]) / (s[k] - s[k + 1]) - predictions[i - 1]
            e = eps(PIVOT, x, s[k])
            if k >= 5:
                e = e + forward_scale[k] * (eps(FORWARD, x, s[k]) - e)
            x = x + (s[k + 1] - s[k]) * (e + backward_scale[k] * r)
        expected = model.model.process_latent_out(x)
        torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())

    def test_a_curve_of_0_leaves_the_pivot_flow_alone_and_says_so(self, scene, caplog):
        model, pivot, sigmas, residual_noise, noisy = scene
        fading = curve((0.0, 1.0), (0.4, 0.0), (1.0, 0.0))
        flow = triple_flow(pivot, AskedGuider(model, FORWARD), forward_curve=fading)
        with caplog.at_level(logging.WARNING):
            back = sample(flow, bimd(residual_noise), sigmas, noisy)
        assert (back - picture(batch=2)["samples"]).abs().max() <= 1e-5 and flow.forward_flow.asked == []
        assert "forward_curve is 0 from start_step 10 on" in caplog.text

    def test_where_the_backward_mask_is_0_sampling_is_plain_and_elsewhere_it_is_unmasked(self, scene):
        model, pivot, sigmas, residual_noise, noisy = scene
        flow = triple_flow(pivot, guider(model, FORWARD))
        masked, whole, none = (
            sample(flow, bimd(residual_noise, **options), sigmas, noisy)
            for options in ({"backward_mask": columns(0, 3)}, {}, {"backward_scale": 0.0})
        )
        assert torch.equal(masked[..., :3], whole[..., :3]) and torch.equal(masked[..., 3:], none[..., 3:])
        assert not torch.equal(whole, none)


@pytest.mark.parametrize(("forward_scale", "calls"), [(1.0, (10, 10)), (0.5, (20, 10)), (0.0, (20, 0))])
@pytest.mark.parametrize("interpolation", ["linear", "monotone_cubic"])
def test_masks_and_curves_of_1_change_no_bit_and_no_call(forward_scale, calls, interpolation):
    model = chaotic_model(1)
    pivot, forward, sigmas = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    ones, constant = torch.ones(1, 50, 70), curve(*ONE, interpolation=interpolation)
    drawn = []
    for masks in (False, True):
        pivot.asked.clear()
        forward.asked.clear()
        options = {"forward_mask": ones, "forward_curve": constant} if masks else {}
        sampler = bimd(residual_noise, **({"backward_mask": ones, "backward_curve": constant} if masks else {}))
        flow = triple_flow(pivot, forward, forward_scale=forward_scale, **options)
        drawn.append(sample(flow, sampler, sigmas, noisy))
        assert (len(pivot.asked), len(forward.asked)) == calls
    assert (drawn[0] - drawn[1]).abs().max() == 0.0


def test_a_mask_asks_both_flows_from_the_starting_step_on():
    model = gaussian_model()
    pivot, forward, sigmas = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD), schedule(model)
    flow = triple_flow(pivot, forward, start_step=15, forward_mask=columns(0, 3))
    sample(flow, comfy.samplers.sampler_object("euler"), sigmas, picture(batch=2))
    assert (len(pivot.asked), len(forward.asked)) == (20, 5)


def test_on_sdxls_network_neutral_is_neutral_and_two_people_agree_either_way():
    """In a network that mixes places, too: at each step every flow is asked about the same latent."""
    with torch.inference_mode():
        model = sdxl_model(seed=1, **SHALLOW_UNET)
        flows = []
        for seed in (1, 2, 3):
            flow = comfy.samplers.CFGGuider(model)
            flow.set_conds(text(seed), text(9))
            flow.set_cfg(2.0)
            flows.append(flow)
        pivot, one, two = flows
        sigmas = schedule(model, 3)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        plain = sample(triple_flow(pivot, one, start_step=1), bimd(residual_noise), sigmas, noisy)
        ones, constant = torch.ones(1, 64, 64), curve(*ONE)
        neutral = triple_flow(pivot, one, start_step=1, forward_mask=ones, forward_curve=constant)
        sampler = bimd(residual_noise, backward_mask=ones, backward_curve=constant)
        assert (sample(neutral, sampler, sigmas, noisy) - plain).abs().max() == 0.0
        left = {"start_step": 1, "forward_mask": columns(0, 4)}
        right = {"start_step": 2, "forward_mask": columns(4, 8)}
        drawn = [
            sample(triple_flow(triple_flow(pivot, a, **mine), b, **its), bimd(residual_noise), sigmas, noisy)
            for a, mine, b, its in ((one, left, two, right), (two, right, one, left))
        ]
        assert torch.equal(*drawn) and not torch.equal(drawn[0], plain)


def test_the_stock_editors_curve_is_sampled_from_the_first_step_to_the_last():
    points = [[0.0, 0.25], [0.5, 1.0], [1.0, 0.5]]
    raw = {"points": points, "interpolation": "linear"}  # as an API prompt may hold it
    for given in (raw, CurveInput.from_raw(raw), curve(*points)):
        read = read_curve("forward_curve", given)
        assert curve_values(read, 5) == [0.25, 0.625, 1.0, 0.75, 0.5]
        assert curve_values(read, 1) == [0.25]
    assert curve_values(read_curve("forward_curve", None), 5) is None


def test_a_curve_of_one_point_and_a_bare_list_of_points_are_curves():
    for given in ([[0.5, 0.3]], {"points": [[0.5, 0.3]]}):
        assert curve_values(read_curve("forward_curve", given), 3) == [0.3] * 3


def test_a_videos_masks_run_along_its_frames():
    video = torch.zeros(1, 4, 3, 8, 8)
    region = region_mask("forward_mask", torch.cat([columns(0, 4), columns(4, 8), columns(0, 4)]), "x", video)
    assert region.shape == video.shape
    left, right = [1.0] * 4 + [0.0] * 4, [0.0] * 4 + [1.0] * 4
    assert region[0, 0, :, 0].tolist() == [left, right, left]


class TestBadInput:
    """Each error names the input and what to do."""

    def test_a_mask_of_zeros_is_refused(self):
        model, zeros = gaussian_model(), torch.zeros(1, 64, 64)
        with pytest.raises(ValueError, match=r"^forward_mask: is 0 everywhere, so the forward flow would never act"):
            triple_flow(guider(model), guider(model), forward_mask=zeros)
        residual_noise, _ = invert(guider(model), schedule(model, 3), picture(batch=2))
        with pytest.raises(ValueError, match=r"^backward_mask: is 0 everywhere, so the backward flow would never act"):
            bimd(residual_noise, backward_mask=zeros)

    @pytest.mark.parametrize(
        "given",
        [
            {},
            [],
            {"points": []},
            {"points": None},
            [1, 2, 3],
            "half",
            {"points": [[0.0, 1.0], [1.0]]},
            {"points": [[0.0, 1.0], [1.0, float("nan")]]},
            {"points": [[0.0, 1.0], [float("inf"), 1.0]]},
            CurveInput.from_raw([]),  # what the Curve Editor gives of no points
            CurveInput.from_raw({"points": [[0.0, float("-inf")]], "interpolation": "linear"}),
        ],
        ids=str,
    )
    def test_what_is_no_curve_is_refused(self, given):
        """Before anything is sampled, and by both nodes and the one that is both of them."""
        model = gaussian_model()
        flow, nothing = guider(model), torch.zeros(2, 1, 4, 8, 8)
        residual_noise = ModelRecording(torch.arange(2.0), nothing, nothing[1:], "any")
        message = r'_curve: .* is not a curve\. Connect a Curve Editor, or give .*"points": .*, or disconnect it'
        with pytest.raises(ValueError, match=f"^forward{message}"):
            triple_flow(flow, flow, forward_curve=given)
        with pytest.raises(ValueError, match=f"^backward{message}"):
            bimd(residual_noise, backward_curve=given)
        for part in ("forward", "backward"):
            with pytest.raises(ValueError, match=f"^{part}{message}"):
                TripleFlowSampleNode.execute(flow, flow, residual_noise, picture(batch=2), **{f"{part}_curve": given})

    def test_a_mask_that_is_lost_at_the_latents_size_is_refused(self):
        speck = torch.zeros(1, 64, 64)
        speck[:, 0, 0] = 1
        flow = triple_flow(guider(gaussian_model()), guider(gaussian_model()), forward_mask=speck)
        with pytest.raises(
            ValueError, match=r"^forward_mask: is 0 everywhere once resized to the latent, so .* Paint the"
        ):
            sample(flow, comfy.samplers.sampler_object("euler"), schedule(gaussian_model()), picture(batch=2))

    def test_masks_for_another_number_of_pictures_are_refused(self):
        model, masks = gaussian_model(), columns(0, 3).repeat(3, 1, 1)
        message = r"mask: has 3 masks for a latent of 2 pictures\. Give one mask for all, or one for each\."
        sigmas = schedule(model)
        with pytest.raises(ValueError, match=f"^forward_{message}"):
            flow = triple_flow(guider(model), guider(model), forward_mask=masks)
            sample(flow, comfy.samplers.sampler_object("euler"), sigmas, picture(batch=2))
        residual_noise, noisy = invert(guider(model), sigmas, picture(batch=2))
        with pytest.raises(ValueError, match=f"^backward_{message}"):
            sample(guider(model), bimd(residual_noise, backward_mask=masks), sigmas, noisy)

    def test_a_latent_of_several_kinds_is_refused(self):
        joined = NestedTensor([torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 16)])
        with pytest.raises(ValueError, match=r"^forward_mask: the latent is neither .* Disconnect the mask\."):
            region_mask("forward_mask", columns(0, 3), "the forward flow", joined)

"""Masks and curves of the forward and backward flow as functions: each place and step is a run of its own."""

import pytest
import torch
from customenhancer.bimd import BlendedFlows, forward_scales, sample_bimd
from customenhancer.resinversion import res_inversion
from helpers.functions import (
    descending_schedule,
    gaussian_function,
    oblong_picture,
    one_prediction,
    refuse,
    sample_along,
)
from hypothesis import given
from hypothesis import strategies as st

STEPS = 10
PIVOT, FORWARD, OTHER = gaussian_function(0.5, 0.8), gaussian_function(-1.0, 0.3), gaussian_function(2.0, 0.5)
SIGMAS = descending_schedule(STEPS)


def recorded():
    return res_inversion(one_prediction(PIVOT), oblong_picture(), SIGMAS.flip(0))


def triple_flow(pivot, forward, start_step=3, scale=1.0, curve=None, mask=None):
    return BlendedFlows(pivot, forward, SIGMAS, forward_scales(STEPS, start_step, scale, curve), mask)


def columns(first, last):
    """A mask of the columns first .. last - 1 of the picture."""
    mask = torch.zeros(1, 1, 6, 5)
    mask[..., first:last] = 1
    return mask


def drawn(model, **options):
    """Every step's denoised and the picture at the end, (N + 1, B, C, H, W)."""
    told = []
    x = sample_along(model, recorded(), callback=lambda step: told.append(step["denoised"]), **options)
    return torch.stack([*told, x])


def eps(model, x, sigma):
    return (x - model(x, sigma[None])) / sigma


def eq_4(forward_weights, backward_weights):
    """The picture by eq. 4 as written, in float64 and without anchors. N weights of each flow, numbers or tensors."""
    s, anchors = SIGMAS.flip(0).double(), [oblong_picture().double()]
    for i in range(STEPS):
        anchors.append(anchors[i] + (s[i + 1] - s[i]) * eps(PIVOT, anchors[i], s[max(i, 1)]))
    x = anchors[-1]
    for k, i in enumerate(range(STEPS, 0, -1)):
        r = (anchors[i] - anchors[i - 1]) / (s[i] - s[i - 1]) - eps(PIVOT, anchors[i], s[i])
        free = eps(PIVOT, x, s[i])
        e = free + forward_weights[k] * (eps(FORWARD, x, s[i]) - free)
        x = x + (s[i - 1] - s[i]) * (e + backward_weights[k] * r)
    return x


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_outside_the_forward_mask_is_the_pivot_flow_and_inside_the_unmasked_run(scale):
    """To the last bit, at each step: a Gaussian model acts on each place by itself."""
    masked = drawn(triple_flow(PIVOT, FORWARD, scale=scale, mask=columns(0, 2)))
    assert torch.equal(masked[..., 2:], drawn(PIVOT)[..., 2:])
    assert torch.equal(masked[..., :2], drawn(triple_flow(PIVOT, FORWARD, scale=scale))[..., :2])
    assert not torch.equal(masked, drawn(PIVOT))


def test_two_people_agree_nested_either_way():
    left, right = columns(0, 2), columns(3, 5)
    one = triple_flow(triple_flow(PIVOT, FORWARD, mask=left), OTHER, start_step=5, mask=right)
    two = triple_flow(triple_flow(PIVOT, OTHER, start_step=5, mask=right), FORWARD, mask=left)
    both = drawn(one)
    assert torch.equal(both, drawn(two))
    assert torch.equal(both[..., :2], drawn(triple_flow(PIVOT, FORWARD))[..., :2])
    assert torch.equal(both[..., 2:3], drawn(PIVOT)[..., 2:3])
    assert torch.equal(both[..., 3:], drawn(triple_flow(PIVOT, OTHER, start_step=5))[..., 3:])


def test_where_the_backward_mask_is_0_sampling_is_plain_and_elsewhere_it_is_unmasked():
    flow = triple_flow(PIVOT, FORWARD)
    masked = drawn(flow, backward_mask=columns(0, 2))
    assert torch.equal(masked[..., :2], drawn(flow)[..., :2])
    assert torch.equal(masked[..., 2:], drawn(flow, backward_scale=0.0)[..., 2:])
    assert not torch.equal(masked, drawn(flow))


def test_soft_masks_and_curves_meet_eq_4():
    forward_curve = [1.0, 0.2, 0.5, 1.0, 0.0, 0.7, 1.0, 0.3, 0.9, 1.0]
    backward_curve = [1.0, 1.0, 0.8, 0.6, 1.2, 0.0, 0.4, 1.0, 0.1, 0.5]
    forward_mask, backward_mask = torch.rand(2, 2, 1, 6, 5, generator=torch.Generator().manual_seed(1))
    flow = triple_flow(PIVOT, FORWARD, scale=1.5, curve=forward_curve, mask=forward_mask)
    actual = sample_along(flow, recorded(), backward_scale=backward_curve, backward_mask=backward_mask)
    forward_weights = [1.5 * f * forward_mask if k >= 3 else 0.0 for k, f in enumerate(forward_curve)]
    backward_weights = [b * backward_mask for b in backward_curve]
    torch.testing.assert_close(actual.double(), eq_4(forward_weights, backward_weights), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("forward_scale", [0.5, 1.0])
@pytest.mark.parametrize("backward_scale", [0.3, 1.0])
def test_masks_and_curves_of_1_change_no_bit(forward_scale, backward_scale):
    plain = drawn(triple_flow(PIVOT, FORWARD, scale=forward_scale), backward_scale=backward_scale)
    ones = torch.ones(2, 4, 6, 5)
    neutral = drawn(
        triple_flow(PIVOT, FORWARD, scale=forward_scale, curve=[1.0] * STEPS, mask=ones),
        backward_scale=[backward_scale] * STEPS,
        backward_mask=ones,
    )
    assert (neutral - plain).abs().max() == 0.0


def test_a_mask_of_1_at_scale_1_never_asks_the_pivot_flow():
    drawn(triple_flow(refuse, FORWARD, start_step=0, mask=torch.ones(1, 1, 6, 5)))
    with pytest.raises(AssertionError, match="was evaluated"):
        drawn(triple_flow(refuse, FORWARD, start_step=0, mask=columns(0, 2)))


@given(start_step=st.integers(0, 12), scale=st.floats(0, 3), curve=st.lists(st.floats(0, 2), min_size=1, max_size=10))
def test_a_curve_multiplies_the_scale_from_the_starting_step_on(start_step, scale, curve):
    scales = forward_scales(len(curve), start_step, scale, curve)
    assert scales == [0.0 if k < start_step else scale * factor for k, factor in enumerate(curve)]


def test_nothing_that_is_given_is_changed():
    recording, forward_mask, backward_mask, curve = recorded(), columns(0, 2), columns(1, 4), [0.5] * STEPS
    kept = [t.clone() for t in (recording.anchors, recording.predictions, forward_mask, backward_mask)]
    flow = triple_flow(PIVOT, FORWARD, curve=curve, mask=forward_mask)
    first = sample_along(flow, recording, backward_scale=curve, backward_mask=backward_mask)
    assert torch.equal(sample_along(flow, recording, backward_scale=curve, backward_mask=backward_mask), first)
    given = recording.anchors, recording.predictions, forward_mask, backward_mask
    assert all(map(torch.equal, given, kept)) and curve == [0.5] * STEPS


@pytest.mark.parametrize(
    ("name", "give"),
    [
        ("curve", lambda: forward_scales(STEPS, 0, 1.0, [1.0] * 9)),
        ("scales", lambda: BlendedFlows(PIVOT, FORWARD, SIGMAS, [1.0] * 9)),
        (
            "backward_scale",
            lambda: sample_bimd(PIVOT, recorded(), backward_scale=[1.0] * 9),
        ),
    ],
)
def test_another_number_of_values_than_of_steps_is_refused(name, give):
    with pytest.raises(ValueError, match=rf"^{name}: has 9 values, but there are 10 steps\. Give one for each step"):
        give()

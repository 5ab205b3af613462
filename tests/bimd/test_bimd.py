"""BiMD as functions: its limits, its closed form on Gaussians, and what it costs."""

import pytest
import torch
from comfy.k_diffusion.sampling import get_sigmas_karras, sample_euler
from customenhancer.bimd import BlendedFlows, forward_scales
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
from standins.analytic import gaussian_ode


def triple_flow(pivot, forward, sigmas, start_step, scale):
    return BlendedFlows(pivot, forward, sigmas, forward_scales(len(sigmas) - 1, start_step, scale))


@pytest.mark.parametrize("start", [0.0, 0.2, 0.6])
def test_two_gaussians_meet_their_closed_form(start, measured):
    """Inverted in one Gaussian, forward flow of another: the pivot's ODE up, then each flow's ODE down.

    Euler steps are of first order, so halving the step halves the distance to the ODE, and two runs extrapolate to it.
    """
    pivot, forward, photo = (0.5, 0.8), (-1.0, 0.3), oblong_picture()

    def relative_error(steps):
        # A last step of its own size, from sigma 0.001 on, leaves no error that more steps would not lessen.
        sigmas = get_sigmas_karras(steps, 0.001, 15.0)
        recorded = res_inversion(one_prediction(gaussian_function(*pivot)), photo, sigmas.flip(0))
        start_step = round(start * steps)
        flows = triple_flow(gaussian_function(*pivot), gaussian_function(*forward), sigmas, start_step, 1.0)
        x = gaussian_ode(photo.double(), 0.0, sigmas[0].item(), *pivot)
        x = gaussian_ode(x, sigmas[0].item(), sigmas[start_step].item(), *pivot)
        expected = gaussian_ode(x, sigmas[start_step].item(), 0.0, *forward)
        return (sample_along(flows, recorded) - expected) / expected.abs().max()

    coarse_error, fine_error = relative_error(500), relative_error(1000)
    assert 1.8 < coarse_error.abs().max() / fine_error.abs().max() < 2.2
    extrapolated = (2 * fine_error - coarse_error).abs().max().item()
    measured(f"relative error against two Gaussians' closed form, forward flow from {start:.0%} on", extrapolated)
    assert extrapolated <= 1e-3


@pytest.mark.parametrize("forward_scale", [0.5, 2.0])
@pytest.mark.parametrize("backward_scale", [0.3, 1.0])
def test_two_gaussians_meet_their_recursion(forward_scale, backward_scale):
    """Eq. 4 as written, in float64 and without anchors, at few steps and scales where both flows are evaluated."""
    pivot, forward = gaussian_function(0.5, 0.8), gaussian_function(-1.0, 0.3)
    sigmas, x0 = descending_schedule(12), oblong_picture(1)
    recorded = res_inversion(one_prediction(pivot), x0, sigmas.flip(0))
    actual = sample_along(
        triple_flow(pivot, forward, sigmas, 4, forward_scale), recorded, backward_scale=backward_scale
    )

    s = sigmas.flip(0).double()

    def eps(model, x, sigma):
        return (x - model(x, sigma[None])) / sigma

    anchors = [x0.double()]
    for i in range(12):
        anchors.append(anchors[i] + (s[i + 1] - s[i]) * eps(pivot, anchors[i], s[max(i, 1)]))
    x = anchors[-1]
    for k, i in enumerate(range(12, 0, -1)):
        r = (anchors[i] - anchors[i - 1]) / (s[i] - s[i - 1]) - eps(pivot, anchors[i], s[i])
        f = forward_scale if k >= 4 else 0.0
        e = eps(pivot, x, s[i]) + f * (eps(forward, x, s[i]) - eps(pivot, x, s[i]))
        x = x + (s[i - 1] - s[i]) * (e + backward_scale * r)
    torch.testing.assert_close(actual.double(), x, rtol=1e-4, atol=1e-4)


@given(start_step=st.integers(0, 30), steps=st.integers(1, 20), scale=st.floats(0.1, 3))
def test_forward_scales_set_in_at_the_starting_step(start_step, steps, scale):
    assert forward_scales(steps, start_step, scale) == [0.0] * min(start_step, steps) + [scale] * max(
        steps - start_step, 0
    )


def test_forward_flow_off_never_asks_it_and_gives_the_picture_back():
    recorded = res_inversion(
        one_prediction(gaussian_function(0.5, 0.8)), oblong_picture(2), descending_schedule(10).flip(0)
    )
    flows = triple_flow(gaussian_function(0.5, 0.8), refuse, descending_schedule(10), 3, 0.0)
    assert torch.equal(sample_along(flows, recorded), oblong_picture(2))


def test_backward_flow_off_is_the_hosts_euler_to_the_last_bit():
    """Forward scale 1 from step 0, backward scale 0: plain sampling of the forward model from the inverted noise."""
    forward, sigmas = gaussian_function(-1.0, 0.3), descending_schedule(10)
    recorded = res_inversion(one_prediction(gaussian_function(0.5, 0.8)), oblong_picture(3), sigmas.flip(0))
    flows = triple_flow(refuse, forward, sigmas, 0, 1.0)
    expected = sample_euler(forward, recorded.anchors[-1], sigmas, disable=True)
    assert torch.equal(sample_along(flows, recorded, backward_scale=0.0), expected)


@pytest.mark.parametrize(("scale", "pivot_calls", "forward_calls"), [(1.0, 20, 30), (0.5, 50, 30), (0.0, 50, 0)])
def test_each_flow_is_evaluated_at_the_steps_where_it_counts_alone(scale, pivot_calls, forward_calls):
    calls = {"pivot": 0, "forward": 0}

    def counted(name):
        def model(x, sigma):
            calls[name] += 1
            return x * 0.5

        return model

    recorded = res_inversion(
        one_prediction(lambda x, sigma: x * 0.5), oblong_picture(4), descending_schedule(50).flip(0)
    )
    sample_along(triple_flow(counted("pivot"), counted("forward"), descending_schedule(50), 20, scale), recorded)
    assert calls == {"pivot": pivot_calls, "forward": forward_calls}


@given(k=st.integers(0, 19), between=st.floats(0, 0.99))
def test_a_sigma_between_two_steps_belongs_to_the_noisier(k, between):
    """Multi-evaluation samplers ask between the schedule's sigmas."""
    sigmas = descending_schedule(20)
    flows = BlendedFlows(None, None, sigmas, list(range(20)))
    sigma = sigmas[k] + between * (sigmas[k + 1] - sigmas[k])
    assert flows.scale_at(sigma[None]) == k


def test_a_denoise_mask_holds_the_rest_on_the_pivot():
    pivot, forward, sigmas = gaussian_function(0.5, 0.8), gaussian_function(-1.0, 0.3), descending_schedule(10)
    recorded = res_inversion(one_prediction(pivot), oblong_picture(5), sigmas.flip(0))
    mask = torch.zeros(1, 1, 6, 5)
    mask[..., :3, :] = 1
    flows = triple_flow(pivot, forward, sigmas, 0, 1.0)
    masked, free = sample_along(flows, recorded, denoise_mask=lambda sigma: mask), sample_along(flows, recorded)
    assert torch.equal(masked[..., 3:, :], oblong_picture(5)[..., 3:, :])
    torch.testing.assert_close(masked[..., :3, :], free[..., :3, :])  # a Gaussian model acts on each place by itself


def test_the_callback_tells_each_step_as_k_diffusion_does():
    told = []
    recorded = res_inversion(
        one_prediction(gaussian_function(0.5, 0.8)), oblong_picture(6), descending_schedule(5).flip(0)
    )
    sample_along(gaussian_function(0.5, 0.8), recorded, callback=told.append)
    assert [step["i"] for step in told] == [0, 1, 2, 3, 4]
    assert all(step["denoised"].shape == step["x"].shape == oblong_picture(6).shape for step in told)
    assert torch.equal(torch.stack([step["sigma"] for step in told]), descending_schedule(5)[:-1])

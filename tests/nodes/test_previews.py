"""Live previews: what each sampling node hands to the host's previewer is the denoised estimate, not the noise."""

import comfy.utils
import latent_preview
import pytest
import torch
from comfy import samplers
from comfy.cli_args import LatentPreviewMethod, args
from comfy.taesd.taesd import TAESD
from comfy_extras.nodes_custom_sampler import RandomNoise
from customenhancer.nodes.baselines import NullTextInversionNode, ReNoiseInversionNode
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from customenhancer.nodes.pivots import RecordTrajectoryNode
from customenhancer.nodes.seeing import InversionReportNode
from helpers.guiders import FORWARD, NOTHING, PIVOT, AskedGuider, guided, posterior_mean
from helpers.sampling import picture, sample, schedule
from standins.analytic import conditioning, gaussian_model

pytestmark = pytest.mark.usefixtures("temporary_folder")

STEPS = 6


def same(shown, expected):
    assert len(shown) == len(expected) > 0
    for one, other in zip(shown, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def residual_noise_of(flow, sigmas):
    return ResInversionNode.execute(flow, sigmas, picture(batch=2)).result


INVERSIONS = {
    "DDIM": lambda flow, sigmas: DDIMInversionNode.execute(flow, sigmas, picture()),
    "DDIM, target": lambda flow, sigmas: DDIMInversionNode.execute(flow, sigmas, picture(), evaluate_at="target"),
    "DDIM, guided": lambda flow, sigmas: DDIMInversionNode.execute(flow, sigmas, picture(), pivot_guidance="guided"),
    "ResInversion": lambda flow, sigmas: ResInversionNode.execute(flow, sigmas, picture()),
    "ResInversion, target": lambda flow, sigmas: ResInversionNode.execute(
        flow, sigmas, picture(), evaluate_at="target"
    ),
    "ReNoise": lambda flow, sigmas: ReNoiseInversionNode.execute(flow, sigmas, picture(), iterations=2),
    "trajectory": lambda flow, sigmas: RecordTrajectoryNode.execute(
        RandomNoise.execute(1).result[0], flow, samplers.sampler_object("euler"), sigmas, picture()
    ),
}


@pytest.mark.parametrize("name", INVERSIONS)
def test_an_inversion_shows_the_denoised_estimate_of_each_guider_call(name, previews):
    model = gaussian_model()
    flow = AskedGuider(model, PIVOT)
    INVERSIONS[name](flow, schedule(model, steps=STEPS))
    same(previews, flow.expected())


@pytest.mark.parametrize("steps_per_call", [1, 4])
def test_recording_shows_the_denoised_estimate_of_each_guider_call(steps_per_call, previews):
    model = gaussian_model()
    flow = AskedGuider(model, PIVOT)
    pivot = DDIMInversionNode.execute(flow, schedule(model, steps=STEPS), picture()).result[0]
    flow.asked.clear()
    previews.clear()
    RecordResidualNoiseNode.execute(flow, pivot, steps_per_call)
    same(previews, flow.expected())


def test_the_report_shows_the_denoised_estimate_of_each_guider_call(previews):
    model = gaussian_model()
    flow = AskedGuider(model, PIVOT)
    recorded, _ = residual_noise_of(flow, schedule(model, steps=STEPS))
    flow.asked.clear()
    previews.clear()
    InversionReportNode.execute(recorded, flow)
    same(previews, flow.expected())


def test_null_text_shows_the_denoised_estimate_of_the_pivot_and_of_each_inner_step(previews, monkeypatch):
    """In closed form of the text that the network itself got, which the optimisation changes."""
    model, asked = gaussian_model(), []
    network = model.model.diffusion_model
    forward = network.forward

    def listening(xc, t, context, sigma, *args, **kwargs):
        x = xc * (sigma.reshape(-1, 1, 1, 1) ** 2 + 1) ** 0.5
        asked.append((x.detach(), sigma, context.detach()[:, 0].clone()))
        return forward(xc, t, context, sigma, *args, **kwargs)

    monkeypatch.setattr(network, "forward", listening)
    NullTextInversionNode.execute(
        model, conditioning(*PIVOT), conditioning(*NOTHING), schedule(model, steps=STEPS), picture(),
        inner_steps=3, early_stop=0.0,
    )  # fmt: skip
    expected = [posterior_mean(x, sigma, *PIVOT) for x, sigma, _ in asked[:STEPS]]
    for k in range(STEPS):  # asked of the prompt once, of the null text in 3 inner steps, and once more for the step
        step = asked[STEPS + 5 * k :][:5]
        expected += [guided(x, sigma, PIVOT, *text, cfg=7.5) for x, sigma, text in step[1:4]]
    assert len(asked) == 6 * STEPS
    same(previews, expected)


def test_null_text_counts_the_pivots_calls_and_then_inner_steps_without_repeating_a_number(monkeypatch):
    """A step that stops early leaves its numbers out."""
    told, model = [], gaussian_model()
    monkeypatch.setattr(latent_preview, "prepare_callback", lambda *_: lambda n, x0, x, total: told.append((n, total)))
    NullTextInversionNode.execute(
        model, conditioning(*PIVOT), conditioning(*NOTHING), schedule(model, steps=STEPS), picture(),
        cfg=1.01, inner_steps=4, early_stop=1.0,
    )  # fmt: skip
    assert told == [(n, 5 * STEPS) for n in (*range(STEPS), *range(STEPS, 5 * STEPS, 4))]


@pytest.mark.parametrize("backward_scale", [0.0, 1.0])
def test_bimd_shows_the_models_denoised_estimate(backward_scale, previews):
    model = gaussian_model()
    flow, sigmas = AskedGuider(model, PIVOT), schedule(model, steps=STEPS)
    recorded, noisy = residual_noise_of(flow, sigmas)
    flow.asked.clear()
    previews.clear()
    other = AskedGuider(model, FORWARD)
    sample(other, BiMDSamplerNode.execute(recorded, backward_scale).result[0], sigmas, noisy)
    same(previews, other.expected())


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_bimd_shows_the_denoised_estimate_of_both_flows(scale, previews):
    model = gaussian_model()
    pivot, forward, sigmas = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD), schedule(model, steps=STEPS)
    recorded, noisy = residual_noise_of(pivot, sigmas)
    pivot.asked.clear()
    previews.clear()
    flow = TripleFlowGuiderNode.execute(pivot, forward, start_step=2, forward_scale=scale).result[0]
    sample(flow, BiMDSamplerNode.execute(recorded).result[0], sigmas, noisy)
    expected = [guided(x, sigma, PIVOT) for x, sigma in pivot.asked[:2]]
    for x, sigma in forward.asked:
        free, identity = guided(x, sigma, PIVOT), guided(x, sigma, FORWARD)
        expected.append(free + scale * (identity - free))
    same(previews, expected)


@pytest.mark.parametrize("method", [LatentPreviewMethod.Latent2RGB, LatentPreviewMethod.TAESD])
@pytest.mark.parametrize("name", [*INVERSIONS, "null text"])
def test_the_hosts_own_previewers_show_a_picture_at_each_step(name, method, monkeypatch):
    """In inference mode, as the host runs nodes, with previewers whose weights are made in it."""
    pictures = []
    with torch.inference_mode():
        model = gaussian_model()
        sigmas = schedule(model, steps=3)
        if method is LatentPreviewMethod.TAESD:
            previewer = latent_preview.TAESDPreviewerImpl(TAESD(None, None, latent_channels=4))
            monkeypatch.setattr(latent_preview, "get_previewer", lambda device, latent_format: previewer)
        monkeypatch.setattr(args, "preview_method", method)
        comfy.utils.set_progress_bar_global_hook(lambda value, total, preview, **_: pictures.append(preview))
        try:
            if name == "null text":
                texts = conditioning(*PIVOT), conditioning(*NOTHING)
                NullTextInversionNode.execute(model, *texts, sigmas, picture(), inner_steps=2, early_stop=0.0)
            else:
                INVERSIONS[name](AskedGuider(model, PIVOT), sigmas)
        finally:
            comfy.utils.set_progress_bar_global_hook(None)
    assert pictures and all(shown[1].size[0] >= 8 for shown in pictures)

"""Editing a photograph with two prompts on one plain model: exact for every prediction type that the host samples."""

import comfy.samplers
import pytest
import torch
from comfy.model_base import ModelType
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode
from customenhancer.nodes.inversion import ResInversionNode
from standins.analytic import chaotic_model, gaussian_model, guider

SOURCE, TARGET = (0.5, 0.8), (-1.0, 0.3)  # mean and standard deviation of what each prompt names
STEPS = 20


def edit(model, start_step=5, cfg=5.0, **options):
    """The workflow on a photograph's latent: (photograph, what came of it), both (1, 4, 8, 8) in the model's space."""
    process = model.model.process_latent_in, model.model.process_latent_out
    photograph = SOURCE[0] + SOURCE[1] * torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", STEPS)
    pivot, forward = guider(model, SOURCE, cfg=cfg), guider(model, TARGET, cfg=cfg)
    residual_noise, noisy = ResInversionNode.execute(pivot, sigmas, {"samples": process[1](photograph)}).result
    flow = TripleFlowGuiderNode.execute(pivot, forward, start_step=start_step, **options).result[0]
    sampler, noise = BiMDSamplerNode.execute(residual_noise).result[0], DisableNoise.execute().result[0]
    sampled = SamplerCustomAdvanced.execute(noise, flow, sampler, sigmas, noisy).result[0]["samples"]
    return photograph, process[0](sampled)


@pytest.fixture(params=[ModelType.EPS, ModelType.V_PREDICTION, ModelType.FLOW], ids=lambda kind: kind.name)
def prediction(request):
    return request.param


@pytest.mark.parametrize("chaotic", [False, True])
def test_without_the_target_prompt_the_photograph_comes_back(prediction, chaotic, measured):
    """At CFG 5, whatever the model predicts, and however wildly."""
    photograph, same = edit(chaotic_model(1, prediction) if chaotic else gaussian_model(prediction), forward_scale=0.0)
    error = (same - photograph).abs().max().item()
    measured(f"editing with the forward flow off, {prediction.name}, {'chaotic' if chaotic else 'Gaussian'}", error)
    assert error <= 1e-5


def test_the_target_prompt_moves_the_photograph_the_more_the_earlier_it_sets_in(prediction):
    """Unguided, towards the target's mean, which lies below the source's; set in after the last step, not at all."""
    means = []
    for start_step in (0, 5, 10, STEPS):
        photograph, edited = edit(gaussian_model(prediction), start_step, cfg=1.0)
        means.append((edited - photograph).mean().item())
    assert means == sorted(means)
    assert means[0] < means[-2] < -0.01 and abs(means[-1]) <= 1e-5

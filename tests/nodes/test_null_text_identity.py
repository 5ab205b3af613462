"""Null-text inversion inside the personalised models: with what the PhotoMaker and InstantID nodes give."""

import comfy.model_management
import pytest
import torch
from comfy import samplers
from customenhancer.nodes.inversion import DDIMInversionNode
from helpers.null_text import null_text_of, state
from helpers.photomaker_flow import run_photomaker
from helpers.sampling import max_error, picture, sample, schedule


@pytest.fixture
def instantid_flow(run_instantid):
    """The person's face in every attention layer, and IdentityNet at the key points."""
    return run_instantid()[:3]


@pytest.fixture
def photomaker_flow_of_a_person(sdxl, clip, photomaker, people):
    """PhotoMaker's LoRA, and the person in the prompt."""
    personalised, positive, _ = run_photomaker(sdxl, clip, photomaker, people[:1])
    assert personalised.patches
    return personalised, positive, clip.encode_from_tokens_scheduled(clip.tokenize(""))


@pytest.mark.parametrize("made_by", ["photomaker_flow_of_a_person", "instantid_flow"])
def test_the_loss_falls_and_sampling_comes_nearer_than_after_ddim_inversion(request, made_by, sdxl, measured):
    flow = request.getfixturevalue(made_by)
    sigmas, latent = schedule(sdxl, 2), picture()
    comfy.model_management.load_models_gpu([flow[0]])
    comfy.model_management.unload_all_models()  # ComfyUI gives weights back without requires_grad, if they had it
    before = state(sdxl)
    with torch.inference_mode():
        result, noisy = null_text_of(flow, steps=2, inner_steps=4).result
        error = max_error(sample(result, "euler", sigmas, noisy), latent)
        plain = samplers.CFGGuider(flow[0])
        plain.set_conds(*flow[1:])
        plain.set_cfg(7.5)
        ddim_noisy = DDIMInversionNode.execute(plain, sigmas, latent).result[1]
        ddim_error = max_error(sample(plain, "euler", sigmas, ddim_noisy), latent)
        comfy.model_management.unload_all_models()  # takes the LoRA off again
    measured(f"reconstruction error, null text, 2 steps, {made_by}", error)
    measured(f"reconstruction error, DDIM inversion, the same, {made_by}", ddim_error)
    assert all(losses[-1] < losses[0] for losses in result.null_text.losses) and error < ddim_error
    assert state(sdxl) == before

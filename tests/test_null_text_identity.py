"""Null-text inversion inside the personalised models: with what the PhotoMaker and InstantID nodes give."""

import comfy.model_management
import pytest
import test_photomaker_flow as photomaker_flow
import torch
from comfy import samplers
from customenhancer.nodes.inversion import DDIMInversion
from test_instantid_node import identity_net, instantid, model, packs, run  # noqa: F401  fixtures
from test_null_text_sdxl import max_error, picture, sample, schedule, state
from test_null_text_sdxl import run as invert
from test_photomaker_flow import clip, parts, people, photomaker  # noqa: F401  fixtures


@pytest.fixture
def instantid_flow(run):  # noqa: F811
    """The person's face in every attention layer, and IdentityNet at the key points."""
    return run()[:3]


@pytest.fixture
def photomaker_flow_of_a_person(model, clip, photomaker, people):  # noqa: F811
    """PhotoMaker's LoRA, and the person in the prompt."""
    personalised, positive, _ = photomaker_flow.run(model, clip, photomaker, people[:1])
    assert personalised.patches
    return personalised, positive, clip.encode_from_tokens_scheduled(clip.tokenize(""))


@pytest.mark.parametrize("made_by", ["photomaker_flow_of_a_person", "instantid_flow"])
def test_the_loss_falls_and_sampling_comes_nearer_than_after_ddim_inversion(request, made_by, model, measured):  # noqa: F811
    flow = request.getfixturevalue(made_by)
    sigmas, latent, before = schedule(model, 2), picture(), state(model)
    with torch.inference_mode():
        result, noisy = invert(flow, steps=2, inner_steps=4).result
        error = max_error(sample(result, sigmas, noisy), latent)
        plain = samplers.CFGGuider(flow[0])
        plain.set_conds(*flow[1:])
        plain.set_cfg(7.5)
        ddim_error = max_error(sample(plain, sigmas, DDIMInversion.execute(plain, sigmas, latent).result[1]), latent)
        comfy.model_management.unload_all_models()  # takes the LoRA off again
    measured(f"reconstruction error, null text, 2 steps, {made_by}", error)
    measured(f"reconstruction error, DDIM inversion, the same, {made_by}", ddim_error)
    assert all(losses[-1] < losses[0] for losses in result.null_text.losses) and error < ddim_error
    assert state(model) == before

"""Training-free control: any SDXL control module on the scene branch, and what becomes of it in the final picture."""

import nodes as host_nodes
import pytest
import torch
from customenhancer.nodes.flows import BiMDSamplerNode, TripleFlowGuiderNode
from customenhancer.nodes.inversion import ResInversionNode
from helpers.scene_control import (
    NEGATIVE,
    PERSON,
    PROMPT,
    apply_control,
    distance,
    draw_scene,
    hint,
    sample_scene,
    scene_schedule,
    text_guider,
)
from standins.control import MODULES, control_net, shallow_sdxl, t2i_adapter
from standins.instantid_host import predict


@pytest.fixture(scope="module")
def model():
    return shallow_sdxl()


def enhance(model, scene, start_step=2):
    """The method from the scene on, without a swap: inverted, then sampled along three flows, no control anywhere."""
    pivot, forward = text_guider(model), text_guider(model, PERSON)
    residual_noise, noisy = ResInversionNode.execute(pivot, scene_schedule(model), {"samples": scene}).result
    flow = TripleFlowGuiderNode.execute(pivot, forward, start_step=start_step).result[0]
    return sample_scene(flow, BiMDSamplerNode.execute(residual_noise).result[0], noisy)


@pytest.mark.parametrize("kind", MODULES)
def test_every_kind_of_module_reaches_the_scene_and_the_final_picture_keeps_it(model, kind, measured):
    positive, negative = apply_control(MODULES[kind]())
    free, controlled = draw_scene(model), draw_scene(model, positive, negative)
    final = enhance(model, controlled)
    to_controlled, to_free = distance(final, controlled), distance(final, free)
    measured(f"{kind}: scene moved by control", distance(free, controlled))
    measured(f"{kind}: final picture to the controlled scene over to the uncontrolled", to_controlled / to_free)
    assert distance(free, controlled) > 0.01 * free.std()
    assert 0 < to_controlled < to_free


def test_another_hint_makes_another_scene(model):
    scenes = [draw_scene(model, *apply_control(control_net(), picture=hint(seed))) for seed in (0, 1)]
    assert distance(*scenes) > 0


def test_control_may_steer_the_forward_flow_by_choice(model):
    scene = draw_scene(model)
    pivot, sigmas = text_guider(model), scene_schedule(model)
    residual_noise, noisy = ResInversionNode.execute(pivot, sigmas, {"samples": scene}).result
    finals = []
    for forward in (text_guider(model, PERSON), text_guider(model, *apply_control(control_net(), PERSON))):
        flow = TripleFlowGuiderNode.execute(pivot, forward, start_step=2).result[0]
        finals.append(sample_scene(flow, BiMDSamplerNode.execute(residual_noise).result[0], noisy))
    assert distance(*finals) > 0


@pytest.mark.parametrize("kind", MODULES)
def test_a_control_of_strength_0_changes_no_bit_of_the_scene(model, kind):
    """Difference 0.0, by the stock node, which leaves it out, and by the module itself."""
    free = draw_scene(model)
    assert torch.equal(draw_scene(model, *apply_control(MODULES[kind](), strength=0)), free)
    silent = MODULES[kind]().copy().set_cond_hint(hint().movedim(-1, 1), 0.0)
    positive = [[PROMPT[0][0], {**PROMPT[0][1], "control": silent, "control_apply_to_uncond": True}]]
    assert torch.equal(draw_scene(model, positive), free)


def test_two_modules_in_a_chain_both_act(model):
    first = apply_control(control_net(0))
    both = apply_control(t2i_adapter(), *first)
    scenes = [draw_scene(model, *conds) for conds in (first, apply_control(t2i_adapter()), both)]
    assert min(distance(scenes[2], scenes[0]), distance(scenes[2], scenes[1])) > 0


@pytest.mark.parametrize(("start", "end", "acts_early", "acts_late"), [(0, 0.5, True, False), (0.5, 1, False, True)])
def test_a_control_acts_between_its_percents(model, start, end, acts_early, acts_late):
    positive, negative = apply_control(control_net(), start=start, end=end)
    for sigma, acts in ((10.0, acts_early), (0.2, acts_late)):
        controlled, free = (predict(model, *conds, sigma=sigma) for conds in ((positive, negative), (PROMPT, NEGATIVE)))
        assert torch.equal(controlled, free) != acts


def test_a_masked_control_acts_in_its_region_alone(model):
    left = torch.zeros(1, 64, 64)
    left[..., :32] = 1
    mask = host_nodes.ConditioningSetMask().append
    (controlled,) = mask(apply_control(control_net())[0], left, "default", 1.0)
    (plain,) = mask(PROMPT, 1 - left, "default", 1.0)
    (without,) = mask(PROMPT, left, "default", 1.0)
    moved = predict(model, controlled + plain, NEGATIVE) - predict(model, without + plain, NEGATIVE)
    assert moved[..., :4].abs().max() > 0 and not moved[..., 4:].any()

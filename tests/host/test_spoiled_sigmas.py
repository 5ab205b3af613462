"""SIGMAS into which the host's uni_pc has written: whole again in every node, and never spoiled by ours."""

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_custom_sampler import RandomNoise, SamplerCustomAdvanced
from customenhancer.host.recordings import of_kind
from customenhancer.host.schedules import whole_sigmas
from customenhancer.nodes.baselines import NullTextInversionNode, ReNoiseInversionNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode
from customenhancer.nodes.pivots import NoisePivotNode, RecordTrajectoryNode
from customenhancer.resinversion import Pivot
from helpers.guiders import NOTHING, PIVOT, flow_of
from helpers.sampling import invert, max_error, picture, sample_back, schedule, triple_flow
from standins.analytic import conditioning, gaussian_model

UNI_PC = ["uni_pc", "uni_pc_bh2"]
EMPTY = {"samples": torch.zeros(1, 4, 8, 8)}


def scene(flow, name, sigmas):
    noise, sampler = RandomNoise.execute(1).result[0], comfy.samplers.sampler_object(name)
    return SamplerCustomAdvanced.execute(noise, flow, sampler, sigmas, EMPTY).result[0]


@pytest.mark.parametrize("name", UNI_PC)
def test_an_inversion_after_uni_pc_is_exact(name):
    flow = flow_of(comfy.samplers.CFGGuider, gaussian_model())
    sigmas = schedule(flow.model_patcher)
    drawn = scene(flow, name, sigmas)
    assert sigmas[-1] != 0  # the host's own doing: where this fails, there is nothing left to mend
    spoiled = sigmas.clone()
    residual_noise, noisy = invert(flow, sigmas, drawn)
    assert torch.equal(residual_noise.sigmas, schedule(flow.model_patcher).flip(0))
    assert max_error(sample_back(flow, residual_noise, sigmas, noisy), drawn) <= 1e-5
    assert torch.equal(sigmas, spoiled)


def test_every_node_that_takes_a_schedule_takes_it_for_whole():
    flow = flow_of(comfy.samplers.CFGGuider, gaussian_model())
    model, whole = flow.model_patcher, schedule(flow.model_patcher, 5)
    spoiled = whole.clone()
    spoiled[-1] = 0.001
    pivots = {
        "DDIM": lambda sigmas: DDIMInversionNode.execute(flow, sigmas, picture()).result[0],
        "ReNoise": lambda sigmas: ReNoiseInversionNode.execute(flow, sigmas, picture()).result[0],
        "noise": lambda sigmas: NoisePivotNode.execute(model, sigmas, picture()).result[0],
        "trajectory": lambda sigmas: RecordTrajectoryNode.execute(
            RandomNoise.execute(1).result[0], flow, comfy.samplers.sampler_object("euler"), sigmas, EMPTY
        ).result[1],
    }
    for pivot in pivots.values():
        for key in ("sigmas", "anchors"):
            assert torch.equal(getattr(pivot(spoiled), key), getattr(pivot(whole), key))
    prompts = conditioning(*PIVOT), conditioning(*NOTHING)
    ends = [
        NullTextInversionNode.execute(model, *prompts, sigmas, picture(), inner_steps=0).result[1]["samples"]
        for sigmas in (spoiled, whole)
    ]
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", UNI_PC)
def test_a_trajectory_of_uni_pc_is_whole_and_leaves_the_schedule_whole(name):
    flow = flow_of(comfy.samplers.CFGGuider, gaussian_model())
    sigmas = schedule(flow.model_patcher)
    inputs = RandomNoise.execute(1).result[0], flow, comfy.samplers.sampler_object(name), sigmas, EMPTY
    drawn, pivot = RecordTrajectoryNode.execute(*inputs).result
    assert torch.equal(sigmas, schedule(flow.model_patcher)) and torch.equal(pivot.sigmas, sigmas.flip(0))
    (residual_noise,) = RecordResidualNoiseNode.execute(flow, pivot).result
    assert max_error(sample_back(flow, residual_noise, sigmas, EMPTY), drawn) <= 1e-5


@pytest.mark.parametrize("name", UNI_PC)
def test_uni_pc_in_a_triple_flow_leaves_the_schedule_whole(name):
    flow = flow_of(comfy.samplers.CFGGuider, gaussian_model())
    sigmas = schedule(flow.model_patcher)
    scene(triple_flow(flow, flow), name, sigmas)
    assert torch.equal(sigmas, schedule(flow.model_patcher))


def test_other_schedules_are_left_as_they_are():
    for last in (0.0, 0.0009, 0.0011, 0.03):
        sigmas = torch.tensor([10.0, 1.0, last])
        assert torch.equal(whole_sigmas(sigmas), sigmas)
    assert whole_sigmas(torch.tensor([])).shape == (0,)


@pytest.mark.parametrize("sigmas", [[0.001, 1.0, 10.0], [0.0, 10.0, 1.0], [0.0, 0.0, 1.0], [0.0, float("nan"), 1.0]])
def test_a_recording_is_checked_when_it_is_made(sigmas):
    with pytest.raises(ValueError, match="sigmas: not a schedule"):
        of_kind(Pivot(torch.tensor(sigmas), torch.zeros(3, *EMPTY["samples"].shape)), "SDXL, EPS prediction")

"""Guider calls that are told before a graph runs. That hosts count the same is in tests/server."""

import json

import pytest
from helpers.paths import CHECKOUT
from helpers.prompts import node

from fleet.cost import guider_calls

GRAPHS = sorted((CHECKOUT / "workflows" / "api").glob("*.json"))


def graph(**more):
    return {
        "schedule": node("BasicScheduler", steps=10),
        "split": node("SplitSigmas", sigmas=["schedule", 0], step=3),
        "euler": node("KSamplerSelect", sampler_name="euler"),
        "heun": node("KSamplerSelect", sampler_name="heun"),
        "guider": node("CFGGuider"),
        "inversion": node("CE_ResInversion", sigmas=["schedule", 0]),
        **more,
    }


def sampled(guider, sampler="euler", **more):
    links = {"guider": [guider, 0], "sampler": [sampler, 0], "sigmas": ["schedule", 0]}
    return graph(x=node("SamplerCustomAdvanced", **links), **more)


def flows(pivot="guider", **inputs):
    return node("CE_TripleFlowGuider", pivot_flow=[pivot, 0], forward_flow=["guider", 0], **inputs)


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        (10, graph(x=node("KSampler", steps=10, sampler_name="euler"))),
        (20, graph(x=node("KSampler", steps=10, sampler_name="dpmpp_sde"))),
        (10, sampled("guider")),
        (20, sampled("guider", "heun")),
        (11, graph(x=node("CE_ResInversion", sigmas=["schedule", 0]))),
        (20, graph(x=node("CE_ResInversion", sigmas=["schedule", 0], evaluate_at="target"))),
        (10, graph(x=node("CE_DDIMInversion", sigmas=["schedule", 0]))),
        (30, graph(x=node("CE_ReNoiseInversion", sigmas=["schedule", 0], iterations=2))),
        (40, graph(x=node("CE_ReNoiseInversion", sigmas=["schedule", 0], iterations=2, regularisation_steps=5))),
        (10, graph(x=node("CE_RecordResidualNoise", pivot=["inversion", 0]))),
        (20, graph(x=node("CE_InversionReport", residual_noise=["inversion", 0]))),
        (10, graph(x=node("CE_TripleFlowSample", residual_noise=["inversion", 0]))),
        (17, graph(x=node("CE_TripleFlowSample", residual_noise=["inversion", 0], start_step=3, forward_scale=0.5))),
        (10, sampled("flows", flows=flows(start_step=4, forward_scale=1.0))),
        (10, sampled("flows", flows=flows(start_step=4, forward_scale=0))),
        (16, sampled("flows", flows=flows(start_step=4, forward_scale=2.0))),
        (16, sampled("flows", flows=flows(start_step=4, forward_mask=["mask", 0]))),
        (10, sampled("flows", flows=flows(start_step=["balance", 0], forward_scale=["balance", 1]))),
        (
            18,  # 4 steps of the inner pivot flow, then both flows of the outer, of which the inner has two from 8 on
            sampled(
                "outer",
                inner=flows(start_step=8, forward_scale=0.5),
                outer=flows("inner", start_step=4, forward_scale=0.5),
            ),
        ),
        (0, graph(x=node("CE_ResInversion", sigmas=["elsewhere", 0]))),
        (0, graph(x=node("VAEDecode", samples=["inversion", 1]))),
    ],
)
def test_calls_follow_from_schedule_sampler_and_scales(calls, found):
    assert guider_calls(found, "x") == calls


def test_a_circle_of_links_is_no_schedule():
    circle = {"a": node("A", sigmas=["b", 0]), "b": node("B", sigmas=["a", 0])}
    assert guider_calls(graph(**circle, x=node("CE_DDIMInversion", sigmas=["a", 0])), "x") == 0


@pytest.mark.parametrize("file", GRAPHS, ids=lambda file: file.stem)
def test_the_shipped_graphs_cost_whole_walks_and_inversions(file):
    found = json.loads(file.read_text(encoding="utf-8"))
    calls = [guider_calls(found, node_id) for node_id in found]
    assert {call for call in calls if call} <= {50, 51, 100, 130}
    assert any(calls) == (file.stem != "swap_and_restore_a_face")

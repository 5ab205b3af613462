"""What a graph costs before it has run: the guider calls of each node that samples or inverts.

A guider call is one prediction of the noise, whatever the guidance. A step of two flows takes one call where the
forward flow's scale is 0 or 1, and two elsewhere. The values of a sweep are counted as one.
"""

# By class: (steps, inputs) -> calls.
INVERSIONS = {
    "CE_ResInversion": lambda steps, inputs: 2 * steps if inputs.get("evaluate_at") == "target" else steps + 1,
    "CE_DDIMInversion": lambda steps, inputs: steps,
    "CE_RecordResidualNoise": lambda steps, inputs: steps,
    "CE_RecordTrajectory": lambda steps, inputs: steps,
    "CE_InversionReport": lambda steps, inputs: steps * (1 + bool(inputs.get("compare_plain", True))),
    "CE_ReNoiseInversion": lambda steps, inputs: (
        steps * (1 + _number(inputs.get("iterations", 1)) + bool(inputs.get("regularisation_steps")))
    ),
    # At most: it goes on to the next step where a text fits.
    "CE_NullTextInversion": lambda steps, inputs: steps * (2 + _number(inputs.get("inner_steps", 10))),
}
SAMPLERS = {"SamplerCustomAdvanced", "SamplerCustom"}
KSAMPLERS = {"KSampler", "KSamplerAdvanced"}
FLOWS = {"CE_TripleFlowGuider", "CE_TripleFlowSample"}
COSTLY = {*INVERSIONS, *SAMPLERS, *KSAMPLERS, "CE_TripleFlowSample"}
# k-diffusion's samplers that ask the model more than once in a step.
CALLS_PER_STEP = {"heun": 2, "heunpp2": 3, "dpm_2": 2, "dpm_2_ancestral": 2, "dpmpp_2s_ancestral": 2, "dpmpp_sde": 2}
SCHEDULE = "sigmas", "residual_noise", "pivot"  # inputs by which a schedule comes along
DECIDING = {  # the inputs that any of this depends on
    "steps", "evaluate_at", "compare_plain", "iterations", "regularisation_steps", "inner_steps", "sampler_name",
    "start_step", "forward_scale", "forward_mask", "forward_curve", "sampler", "guider", *SCHEDULE,
}  # fmt: skip


def guider_calls(graph: dict, node_id: str) -> int:
    """The guider calls of one node of an API graph; 0 for one that asks no model, or whose steps cannot be told."""
    node = graph[node_id]
    kind, inputs = node["class_type"], node["inputs"]
    if kind not in COSTLY:
        return 0
    steps = _steps(graph, node)
    if kind in INVERSIONS:
        return INVERSIONS[kind](steps, inputs) if steps else 0
    if kind in FLOWS:
        return sum(_calls_by_step(graph, node, steps))
    sampler = inputs if kind in KSAMPLERS else _linked(graph, inputs.get("sampler")).get("inputs", {})
    guider = _linked(graph, inputs.get("guider"))
    return sum(_calls_by_step(graph, guider, steps)) * CALLS_PER_STEP.get(sampler.get("sampler_name"), 1)


def _calls_by_step(graph: dict, guider: dict, steps: int) -> list[int]:
    """The calls of each step of a walk by a guider's node, which may nest others.

    A scale that comes by a link is taken for 1, a starting step for 0.
    """
    if guider.get("class_type") not in FLOWS:
        return [1] * steps
    inputs = guider["inputs"]
    pivot, forward = (
        _calls_by_step(graph, _linked(graph, inputs.get(name)), steps) for name in ("pivot_flow", "forward_flow")
    )
    scale, start_step = inputs.get("forward_scale", 1), _number(inputs.get("start_step", 10))
    alone = scale == 1 or not isinstance(scale, (int, float))
    alone = alone and "forward_mask" not in inputs and "forward_curve" not in inputs
    return [
        pivot[step] if step < start_step or scale == 0 else forward[step] + (0 if alone else pivot[step])
        for step in range(steps)
    ]


def _steps(graph: dict, node: dict) -> int:
    """The steps of a node's schedule, found along its links; 0 where that cannot be told."""
    seen = set()
    while node and id(node) not in seen:
        seen.add(id(node))
        inputs = node["inputs"]
        if "steps" in inputs:
            return _number(inputs["steps"])
        node = next((_linked(graph, inputs[name]) for name in SCHEDULE if name in inputs), {})
    return 0


def _linked(graph: dict, link) -> dict:
    """The node that a link, [node id, output], comes from; an empty one if it is none."""
    return graph.get(link[0], {}) if is_link(link) else {}


def is_link(value) -> bool:
    """Whether an input's value in an API graph is a link, [node id, output]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _number(value) -> int:
    return value if isinstance(value, int) else 0

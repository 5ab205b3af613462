"""A failing graph is made small, and stays one that fails."""

import copy

from fuzz.minimiser import minimise

SCHEMA = {
    "Load": {"input": {"required": {"name": [["a"], {}]}}, "output": ["MODEL"]},
    "Patch": {
        "input": {"required": {"model": ["MODEL"], "strength": ["FLOAT", {"default": 1.0}]}},
        "output": ["MODEL"],
    },
    "CE_Work": {
        "input": {
            "required": {"model": ["MODEL"], "steps": ["INT", {"default": 4}]},
            "optional": {"scale": ["FLOAT", {"default": 1.0}], "mask": ["MASK"]},
        },
        "output": ["LATENT"],
    },
    "Mask": {"input": {"required": {}}, "output": ["MASK"]},
    "Show": {"input": {"required": {"latent": ["LATENT"]}}, "output": []},
}


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


GRAPH = {
    "load": node("Load", name="a"),
    "first": node("Patch", model=["load", 0], strength=0.5),
    "second": node("Patch", model=["first", 0], strength=0.1),
    "mask": node("Mask"),
    "work": node("CE_Work", model=["second", 0], steps=-1, scale=3.0, mask=["mask", 0]),
    "show": node("Show", latent=["work", 0]),
    "other": node("CE_Work", model=["load", 0], steps=2),
}


class Fault:
    """Whether a graph still has it, and how often that was asked. wrong: a test of the work node's inputs."""

    def __init__(self, wrong):
        self.wrong, self.asked = wrong, 0

    def __call__(self, graph):
        self.asked += 1
        return "work" in graph and self.wrong(graph["work"]["inputs"], graph)


def test_all_that_the_fault_does_not_need_goes():
    fault = Fault(lambda inputs, graph: inputs["steps"] == -1)
    small = minimise(GRAPH, SCHEMA, fault, {"work"})
    assert small == {"load": GRAPH["load"], "work": node("CE_Work", model=["load", 0], steps=-1)}


def test_what_the_fault_needs_stays():
    fault = Fault(lambda inputs, graph: "mask" in inputs and graph[inputs["model"][0]]["class_type"] == "Patch")
    small = minimise(GRAPH, SCHEMA, fault, {"work"})
    assert sorted(small) in (["first", "load", "mask", "work"], ["load", "mask", "second", "work"])
    assert small["work"]["inputs"].keys() == {"model", "steps", "mask"}
    assert small["work"]["inputs"]["steps"] == 4  # set back to its default


def test_the_result_has_been_seen_to_fail_and_the_graph_given_is_left_alone():
    before, seen = copy.deepcopy(GRAPH), []

    def fails(graph):
        failing = graph.get("work", {}).get("inputs", {}).get("scale") == 3.0
        seen.extend([copy.deepcopy(graph)] if failing else [])
        graph.clear()  # whoever runs it may do what it likes with its copy
        return failing

    small = minimise(GRAPH, SCHEMA, fails, {"work"})
    assert small in seen and before == GRAPH


def test_the_budget_is_kept_and_a_fault_of_the_whole_graph_is_kept_whole():
    fault = Fault(lambda inputs, graph: inputs["steps"] == -1)
    minimise(GRAPH, SCHEMA, fault, {"work"}, budget=3)
    assert fault.asked == 3
    whole = minimise(GRAPH, SCHEMA, lambda graph: len(graph) == len(GRAPH), {"work"})
    assert whole == GRAPH

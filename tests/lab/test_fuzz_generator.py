"""The fuzzer's graphs: the same for a seed, one node of ours after the other, and new nodes without being told."""

import functools
import json

from fuzz.generator import make_case
from fuzz.graphs import ancestors, is_link, links

STOCK = {"required": {}}
SCHEMA = {
    "CE_Make": {
        "input": {
            "required": {"guider": ["GUIDER"], "count": ["INT", {"default": 2, "min": 0, "max": 9}]},
            "optional": {"scale": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}], "how": [["a", "b"], {}]},
        },
        "output": ["CE_NEW_THING"],
        "output_node": False,
    },
    "CE_Use": {
        "input": {"required": {"thing": ["CE_NEW_THING"]}, "optional": {"mask": ["MASK"]}},
        "output": ["LATENT"],
        "output_node": True,
    },
    "CE_BiMDSampler": {
        "input": {"required": {"thing": ["CE_NEW_THING"]}},
        "output": ["SAMPLER"],
        "output_node": False,
    },
    "CE_LoadNewThing": {
        "input": {"required": {"new_name": [["old.x", "new.x"], {}]}},
        "output": ["CE_NEW_THING"],
        "output_node": False,
    },
    "KSamplerSelect": {"input": {"required": {"sampler_name": [["euler", "lms"], {}]}}, "output": ["SAMPLER"]},
}
NUMBERS = range(200)


@functools.cache
def cases(seed=3):
    return [make_case(SCHEMA, seed, number) for number in NUMBERS]


def test_the_same_seed_makes_the_same_graphs_and_another_makes_others():
    def text(seed):
        return json.dumps([case.graph for case in cases(seed)])

    assert text(3) == text(3) != text(4)


def test_a_case_does_not_depend_on_those_before_it():
    assert repr(make_case(SCHEMA, 3, 17)) == repr(cases()[17])


def test_every_node_is_the_target_in_turn_and_a_new_socket_is_wired_to_the_node_that_makes_it():
    targets = [case.graph[case.target]["class_type"] for case in cases()]
    wired = ["CE_BiMDSampler", "CE_Make", "CE_Use"]
    every = ["CE_BiMDSampler", "CE_LoadNewThing", "CE_Make", "CE_Use", *wired, *wired]
    assert targets == (every * len(NUMBERS))[: len(NUMBERS)]
    wired = [case for case in cases() if not case.changes and case.graph[case.target]["class_type"] == "CE_Use"]
    for case in wired:
        source = case.graph[case.target]["inputs"]["thing"][0]
        assert case.graph[source]["class_type"] in ("CE_Make", "CE_LoadNewThing")
    assert wired


def test_cases_without_a_change_are_whole_and_others_are_changed_where_they_say():
    plain = [case for case in cases() if not case.changes]
    assert 0 < len(plain) < len(NUMBERS) / 2
    for case in plain:
        for node_id in ancestors(case.graph, case.target):
            assert all(link[0] in case.graph for _, link in links(case.graph[node_id]))
    changed = {name.rpartition(".")[2] for case in cases() for name in case.changes}
    assert changed == {"guider", "count", "scale", "how", "thing", "mask", "new_name"}


def test_hostile_values_come_directly_and_by_links():
    counts = [case.graph[case.target]["inputs"].get("count") for case in cases() if "count" in str(case.changes)]
    assert any(is_link(value) for value in counts) and any(not is_link(value) for value in counts)

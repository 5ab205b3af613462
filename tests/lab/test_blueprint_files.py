"""The blueprints are those that the workflows give, and each is whole in itself."""

import json

import pytest
from blueprints.__main__ import CHECKOUT, files
from blueprints.boxes import BLUEPRINTS

NAMES = list(BLUEPRINTS)


def read(name: str) -> dict:
    return json.loads((CHECKOUT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))


def test_they_are_written_from_the_workflows_as_they_are_now():
    """Else: python lab blueprints."""
    made = files()
    assert {path.name for path in made} == {path.name for path in (CHECKOUT / "subgraphs").iterdir()}
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, path.name


@pytest.mark.parametrize("name", NAMES)
def test_every_link_joins_two_sockets_and_every_socket_knows_its_link(name):
    (subgraph,) = read(name)["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    ends = []
    for link in subgraph["links"]:
        if link["origin_id"] == -10:
            assert link["id"] in subgraph["inputs"][link["origin_slot"]]["linkIds"]
        else:
            socket = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
            assert link["id"] in socket["links"] and socket["type"] == link["type"]
        if link["target_id"] == -20:
            assert link["id"] in subgraph["outputs"][link["target_slot"]]["linkIds"]
        else:
            socket = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert link["id"] == socket["link"] and socket["type"] == link["type"]
            ends.append(link["id"])
    assert len(ends) == len(set(ends))
    linked = [slot["link"] for node in nodes.values() for slot in node["inputs"] if slot["link"] is not None]
    assert sorted(linked) == sorted(ends)


@pytest.mark.parametrize("name", NAMES)
def test_the_box_asks_for_a_handful_in_words(name):
    (box,) = read(name)["nodes"]
    assert len(box["inputs"]) <= 9 and all(slot["label"] for slot in (*box["inputs"], *box["outputs"]))
    widgets = [slot for slot in box["inputs"] if "widget" in slot]
    assert len(widgets) == len(box["widgets_values"]) and not any("_" in slot["label"] for slot in widgets)

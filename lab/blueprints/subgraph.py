"""A part of a workflow as a blueprint of the frontend: one node, whose type is a subgraph that the file defines."""

import copy
import uuid
from collections.abc import Iterator, Mapping

from blueprints.boxes import Blueprint, Outside

CATEGORY = "CustomEnhancer"
INPUT_NODE, OUTPUT_NODE = -10, -20  # the frontend's ids for a subgraph's own ends
NAMESPACE = uuid.UUID("6c0b6f0e-52a9-4bd1-9a38-0d6b6f3e1f5a")
LEFT_OUT = {"MarkdownNote", "PreviewImage", "SaveImage", "LoadImage"}
ROW = 20  # pixels


def blueprint_file(name: str, blueprint: Blueprint, workflow: Mapping) -> dict:
    """The content of subgraphs/<name>.json. workflow: of blueprint.source. Its ids are the same whenever it is made."""
    subgraph_id = str(uuid.uuid5(NAMESPACE, name))
    inside = _inside(blueprint, workflow)
    links = [dict(link) for link in _links(inside, workflow)]
    numbers = iter(range(max(link["id"] for link in links) + 1, 10_000))
    inputs = [_input(subgraph_id, each, inside, links, numbers) for each in blueprint.inputs]
    outputs = [_output(subgraph_id, each, inside, links, numbers) for each in blueprint.outputs]
    _connect(inside, links)
    subgraph = {
        "id": subgraph_id,
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": max(node["id"] for node in inside.values()),
            "lastLinkId": max(link["id"] for link in links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": name,
        "inputNode": {"id": INPUT_NODE, "bounding": _bounding(inside, len(inputs), left=True)},
        "outputNode": {"id": OUTPUT_NODE, "bounding": _bounding(inside, len(outputs), left=False)},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": list(inside.values()),
        "groups": [],
        "links": links,
        "extra": {},
        "category": CATEGORY,
        "description": blueprint.description,
    }
    return {
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_box(name, subgraph_id, blueprint, inside, inputs, outputs)],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [subgraph]},
        "extra": {"BlueprintDescription": blueprint.description},
    }


def _title(node: Mapping) -> str:
    return node.get("title") or node["type"].removeprefix("CE_")


def _inside(blueprint: Blueprint, workflow: Mapping) -> dict[str, dict]:
    """The nodes of the box by their titles, unconnected."""
    found = {}
    for node in workflow["nodes"]:
        wanted = _title(node) in blueprint.inside if blueprint.inside else node["type"] not in LEFT_OUT
        if wanted:
            found[_title(node)] = own = copy.deepcopy(node)
            for slot in own["inputs"]:
                slot["link"] = None
                slot.pop("label", None)
            for slot in own["outputs"]:
                slot["links"] = []
    return found


def _links(inside: Mapping, workflow: Mapping) -> Iterator[dict]:
    ids = {node["id"] for node in inside.values()}
    for number, origin, origin_slot, target, target_slot, kind in workflow["links"]:
        if origin in ids and target in ids:
            yield _link(number, (origin, origin_slot), (target, target_slot), kind)


def _link(number: int, origin: tuple[int, int], target: tuple[int, int], kind: str) -> dict:
    names = ("origin_id", "origin_slot", "target_id", "target_slot")
    return {"id": number, **dict(zip(names, (*origin, *target), strict=True)), "type": kind}


def _input(subgraph_id: str, outside: Outside, inside: Mapping, links: list[dict], numbers: Iterator[int]) -> dict:
    place = len({link["origin_slot"] for link in links if link["origin_id"] == INPUT_NODE})
    own = []
    for title, name in outside.ends:
        node = inside[title]
        slot = [each["name"] for each in node["inputs"]].index(name)
        kind = node["inputs"][slot]["type"]
        own.append(_link(next(numbers), (INPUT_NODE, place), (node["id"], slot), kind))
    links += own
    return _end(subgraph_id, "input", outside, own)


def _output(subgraph_id: str, outside: Outside, inside: Mapping, links: list[dict], numbers: Iterator[int]) -> dict:
    place = sum(link["target_id"] == OUTPUT_NODE for link in links)
    ((title, name),) = outside.ends
    node = inside[title]
    slot = [each["name"] for each in node["outputs"]].index(name)
    own = [_link(next(numbers), (node["id"], slot), (OUTPUT_NODE, place), node["outputs"][slot]["type"])]
    links += own
    return _end(subgraph_id, "output", outside, own)


def _end(subgraph_id: str, side: str, outside: Outside, own: list[dict]) -> dict:
    return {
        "id": str(uuid.uuid5(NAMESPACE, f"{subgraph_id} {side} {outside.name}")),
        "name": outside.name,
        "type": own[0]["type"],
        "linkIds": [link["id"] for link in own],
        "label": outside.label,
    }


def _connect(inside: Mapping, links: list[dict]) -> None:
    nodes = {node["id"]: node for node in inside.values()}
    for link in links:
        if link["target_id"] != OUTPUT_NODE:
            nodes[link["target_id"]]["inputs"][link["target_slot"]]["link"] = link["id"]
        if link["origin_id"] != INPUT_NODE:
            nodes[link["origin_id"]]["outputs"][link["origin_slot"]]["links"].append(link["id"])


def _bounding(inside: Mapping, rows: int, left: bool) -> list[float]:
    edge = min if left else max
    x = edge(node["pos"][0] + (0 if left else node["size"][0]) for node in inside.values())
    top = min(node["pos"][1] for node in inside.values())
    return [x - 300 if left else x + 120, top, 180, ROW * (rows + 2)]


def _box(name, subgraph_id, blueprint: Blueprint, inside: Mapping, inputs: list, outputs: list) -> dict:
    """The node that stands for the subgraph in a graph, with the widgets of the inputs that have one."""
    slots, widgets = [], []
    for outside, declared in zip(blueprint.inputs, inputs, strict=True):
        title, socket = outside.ends[0]
        (inner,) = [slot for slot in inside[title]["inputs"] if slot["name"] == socket]
        slot = {"name": outside.name, "label": outside.label, "type": declared["type"], "link": None}
        if "widget" in inner:
            slot["widget"] = {"name": outside.name}
            widgets.append((outside.name, _value(inside[title], socket)))
        slots.append(slot)
    return {
        "id": 1,
        "type": subgraph_id,
        "pos": [0, 0],
        "size": [400, 60 + 24 * (len(slots) + len(outputs))],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": slots,
        "outputs": [
            {"name": each["name"], "label": each["label"], "type": each["type"], "links": None} for each in outputs
        ],
        "title": name,
        "properties": {"proxyWidgets": [["-1", widget] for widget, _ in widgets]},
        "widgets_values": [value for _, value in widgets],
    }


def _value(node: Mapping, widget: str):
    """A widget's value. The frontend's own control after a seed stands among the values without a slot."""
    names = [slot["name"] for slot in node["inputs"] if "widget" in slot]
    if node["type"] == "RandomNoise":
        names.insert(1, "control_after_generate")
    return node["widgets_values"][names.index(widget)]

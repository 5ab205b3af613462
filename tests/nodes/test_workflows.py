"""The shipped workflow files: both formats are the same graph, of stock nodes and this pack's own.

With CUSTOMENHANCER_WRITE_TWINS=1 the API files are written anew from the others.
"""

import asyncio
import itertools
import json
import os
from pathlib import Path

import nodes as host_nodes  # the host's module: the checkout's root is never on sys.path
import numpy as np
import pytest
from customenhancer.nodes import CustomEnhancerExtension
from helpers.paths import CHECKOUT, HOST
from helpers.workflow_files import api_twin
from PIL import Image

UI_FILES = sorted((CHECKOUT / "workflows").glob("*.json"))
API_FILES = sorted((CHECKOUT / "workflows" / "api").glob("*.json"))
# Of comfy_extras, beside what the host's nodes.py has.
STOCK_FILES = [f"nodes_{name}.py" for name in ("custom_sampler", "images", "canny", "string", "mask", "curve")]
WIDGET_TYPES = {"COMBO", "INT", "FLOAT", "STRING", "BOOLEAN", "CURVE"}
NOTE = "MarkdownNote"  # the frontend's own: no part of a prompt
TITLE_HEIGHT = 30
BRIGHT, CONTRAST, DIFFERENT = 140, 30, 8  # of the cards: mean and deviation of 0..255, mean distance of two

for_each_workflow = pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def classes() -> dict[str, type]:
    """The node classes of the host and of this pack, by id."""

    async def load():
        for name in STOCK_FILES:
            assert await host_nodes.load_custom_node(str(HOST / "comfy_extras" / name), module_parent="comfy_extras")
        return await CustomEnhancerExtension().get_node_list()

    own = {node.define_schema().node_id: node for node in asyncio.run(load())}
    return {**host_nodes.NODE_CLASS_MAPPINGS, **own}


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def working_nodes(workflow: dict) -> list[dict]:
    return [node for node in workflow["nodes"] if node["type"] != NOTE]


def schema_inputs(node_class: type) -> dict[str, tuple[str, dict]]:
    """Type and options of each input, in the schema's order."""
    declared = node_class.INPUT_TYPES()
    inputs = {**declared.get("required", {}), **declared.get("optional", {})}
    return {
        name: ("COMBO" if isinstance(kind, list) else kind, (options or [{}])[0])
        for name, (kind, *options) in inputs.items()
    }


def widget_names(node_class: type) -> list[str | None]:
    """The inputs that are widgets, in the order of `widgets_values`; None for a widget that the frontend adds."""
    names = []
    for name, (kind, options) in schema_inputs(node_class).items():
        if kind in WIDGET_TYPES and not options.get("forceInput"):
            names.append(name)
            if options.get("control_after_generate") or options.get("image_upload"):
                names.append(None)
    return names


def display_name(node_type: str, node_class: type) -> str:
    if node_type in host_nodes.NODE_DISPLAY_NAME_MAPPINGS:
        return host_nodes.NODE_DISPLAY_NAME_MAPPINGS[node_type]
    return node_class.define_schema().display_name


def as_prompt(workflow: dict, classes: dict[str, type]) -> dict:
    """The API prompt of a UI workflow."""
    links = {link_id: [str(source), slot] for link_id, source, slot, *_ in workflow["links"]}
    prompt = {}
    for node in working_nodes(workflow):
        node_class = classes[node["type"]]
        values = zip(widget_names(node_class), node.get("widgets_values", []), strict=True)
        inputs = {name: value for name, value in values if name is not None}
        inputs |= {slot["name"]: links[slot["link"]] for slot in node["inputs"] if slot["link"] is not None}
        title = node.get("title") or display_name(node["type"], node_class)
        prompt[str(node["id"])] = {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}
    return prompt


def bounds(node: dict) -> tuple[float, float, float, float]:
    """Left, top (of the title bar), right, bottom."""
    (left, top), (width, height) = node["pos"], node["size"]
    return left, top - TITLE_HEIGHT, left + width, top + height


def group_bounds(group: dict) -> tuple[float, float, float, float]:
    left, top, width, height = group["bounding"]
    return left, top, left + width, top + height


def overlap(a, b) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def inside(inner, outer) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def test_every_workflow_has_both_formats():
    assert UI_FILES and sorted(map(api_twin, UI_FILES)) == API_FILES


@for_each_workflow
def test_both_formats_are_the_same_graph(path, classes):
    prompt = as_prompt(read(path), classes)
    if os.environ.get("CUSTOMENHANCER_WRITE_TWINS"):
        api_twin(path).write_text(json.dumps(prompt, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        pytest.skip(f"wrote {api_twin(path)}")
    assert prompt == read(api_twin(path))


@for_each_workflow
def test_each_link_joins_two_sockets_of_its_type(path, classes):
    workflow = read(path)
    by_id = {node["id"]: node for node in workflow["nodes"]}
    ends = [slot["link"] for node in workflow["nodes"] for slot in node["inputs"] if slot["link"] is not None]
    assert sorted(ends) == sorted(link[0] for link in workflow["links"])
    for link_id, source, source_slot, target, target_slot, kind in workflow["links"]:
        output, entry = by_id[source]["outputs"][source_slot], by_id[target]["inputs"][target_slot]
        assert link_id in output["links"] and link_id == entry["link"]
        assert classes[by_id[source]["type"]].RETURN_TYPES[source_slot] == kind
        assert schema_inputs(classes[by_id[target]["type"]])[entry["name"]][0] == kind


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.stem)
def test_api_nodes_are_known_and_titled_and_have_what_they_need(path, classes):
    for node_id, node in read(path).items():
        assert node["class_type"] in classes, f"{node['class_type']} is neither stock nor ours"
        assert node["_meta"]["title"], f"{node_id}: the host answers an old node id without _meta with an error 500"
        assert set(classes[node["class_type"]].INPUT_TYPES().get("required", {})) <= set(node["inputs"]), node_id


@for_each_workflow
def test_the_template_browser_finds_a_bright_card_that_is_clear_when_small(path):
    """Else: python3 dev.py cards. A screenshot of a graph has a mean brightness of about 30 of 255."""
    picture = path.with_suffix(".jpg")
    assert picture.stat().st_size < 60_000
    with Image.open(picture) as image:
        assert image.format == "JPEG" and image.size == (640, 400)  # landscape, as the browser's cards are
        small = np.asarray(image.convert("L").resize((190, 119), Image.Resampling.BOX), np.float32)
    assert small.mean() > BRIGHT and small.std() > CONTRAST


def test_no_two_workflows_share_a_picture():
    """Not even nearly: as the template browser shows them, any two are told apart."""
    cards = []
    for path in UI_FILES:
        with Image.open(path.with_suffix(".jpg")) as image:
            cards.append(np.asarray(image.convert("RGB").resize((32, 20), Image.Resampling.BOX), np.float32))
    for (a, one), (b, other) in itertools.combinations(enumerate(cards), 2):
        assert np.abs(one - other).mean() > DIFFERENT, f"{UI_FILES[a].stem} and {UI_FILES[b].stem}"


@for_each_workflow
def test_nothing_covers_anything(path):
    """Nodes, title bars included, stand free, each within one group; groups do not overlap."""
    workflow = read(path)
    groups = [group_bounds(group) for group in workflow["groups"]]
    for a, b in itertools.combinations(workflow["nodes"], 2):
        assert not overlap(bounds(a), bounds(b)), f"{a.get('title')} and {b.get('title')}"
    for a, b in itertools.combinations(groups, 2):
        assert not overlap(a, b)
    for node in workflow["nodes"]:
        assert sum(inside(bounds(node), group) for group in groups) == 1, node.get("title")


@for_each_workflow
def test_links_are_read_from_left_to_right(path):
    """A link that has no reroute runs to the right, but for a sampler's latent that is decoded right below it."""
    workflow = read(path)
    rerouted = {link["id"] for link in workflow["extra"]["linkExtensions"]}
    by_id = {node["id"]: node for node in workflow["nodes"]}
    for link_id, source, _, target, *_ in workflow["links"]:
        left, right = bounds(by_id[source]), bounds(by_id[target])
        below = left[0] == right[0] and left[3] < right[1]
        assert link_id in rerouted or left[2] < right[0] or below, f"{by_id[source]['type']} to {by_id[target]['type']}"


@for_each_workflow
def test_notes_name_every_model_file(path, classes):
    workflow = read(path)
    notes = "\n".join(note["widgets_values"][0] for note in workflow["nodes"] if note["type"] == NOTE)
    named = ("ckpt_name", "photomaker_name", "instantid_name", "control_net_name", "lora_name", "pack", "model_name")
    files = [
        node["inputs"][name]
        for node in as_prompt(workflow, classes).values()
        for name in named
        if name in node["inputs"]
    ]
    assert files and all(f"{file}`" in notes or f"`{file}." in notes for file in files)


def test_no_other_folder_takes_the_place_of_workflows_as_the_templates():
    """ComfyUI takes a pack's templates, and their pictures, from the first of these folders that is there."""
    assert not [name for name in ("example_workflows", "example", "examples", "workflow") if (CHECKOUT / name).exists()]

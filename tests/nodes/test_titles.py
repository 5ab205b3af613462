"""Titles are names for programs: in all API files a role has one title, and docs/api.md lists the titles.

The roles are read from the graph, never from a title. A title that changes here breaks people's programs.
"""

import json
import re

import pytest
from helpers.paths import CHECKOUT

# The inputs that a program sets, by the title of their node.
TITLES = {
    "Reference person": ["image"],
    "Prompt": ["text"],
    "Prompt with the person": ["text"],
    "Negative prompt": ["text"],
    "Seed of the scene": ["noise_seed"],
    "Scene or identity": ["balance"],
    "Picture size": ["width", "height"],
    "Schedule": ["steps"],
    "Photograph": ["image"],
    "Source prompt": ["text"],
    "Target prompt": ["text"],
    "SDXL checkpoint": ["ckpt_name"],
    "PhotoMaker file": ["photomaker_name"],
    "InstantID file": ["instantid_name"],
    "IdentityNet": ["control_net_name"],
    "LoRA of the person": ["lora_name"],
    "Face analysis": ["pack"],
    "Face swapper": ["model_name"],
    "Save the final picture": ["filename_prefix"],
}
# Classes of which every node has one role.
BY_CLASS = {
    "RandomNoise": "Seed of the scene",
    "CE_IdentityBalance": "Scene or identity",
    "EmptyLatentImage": "Picture size",
    "ImageScale": "Picture size",
    "BasicScheduler": "Schedule",
    "CheckpointLoaderSimple": "SDXL checkpoint",
    "CE_PhotoMakerLoader": "PhotoMaker file",
    "CE_InstantIDLoader": "InstantID file",
    "LoraLoader": "LoRA of the person",
    "CE_FaceSwapperLoader": "Face swapper",
    "SaveImage": "Save the final picture",
}
# Those that make a conditioning of another, by the output's number: the input that they pass on.
PASSING = {
    "ControlNetApplyAdvanced": ["positive", "negative"],
    "CE_InstantIDForwardFlow": [None, "positive", "negative"],
}
API_FILES = sorted((CHECKOUT / "workflows" / "api").glob("*.json"))


def sources(prompt, class_type, name):
    """The ids of the nodes that an input of the nodes of a class gets its value from."""
    links = [node["inputs"].get(name) for node in prompt.values() if node["class_type"] == class_type]
    return {link[0] for link in links if isinstance(link, list)}


def text_of(prompt, guider, name):
    """The id of the node that holds the text of a guider's conditioning."""
    node_id, output = prompt[guider]["inputs"][name]
    while prompt[node_id]["class_type"] in PASSING:
        node_id, output = prompt[node_id]["inputs"][PASSING[prompt[node_id]["class_type"]][output]]
    return node_id


def roles(prompt):
    """{node id: title} of each node whose role has a shared title."""
    found = {
        node_id: BY_CLASS[node["class_type"]] for node_id, node in prompt.items() if node["class_type"] in BY_CLASS
    }
    guiders = [node_id for node_id, node in prompt.items() if node["class_type"] == "CFGGuider"]
    found |= {text_of(prompt, guider, "negative"): "Negative prompt" for guider in guiders}
    found |= dict.fromkeys(sources(prompt, "CE_InstantIDForwardFlow", "control_net"), "IdentityNet")
    found |= dict.fromkeys(sources(prompt, "CE_FaceSwap", "face_analysis"), "Face analysis")
    forward = ("CE_PhotoMakerForwardFlow", "CE_InstantIDForwardFlow")
    persons = set.union(*(sources(prompt, class_type, "reference_images") for class_type in forward))
    persons = persons or sources(prompt, "CE_FaceSwap", "reference")
    pivot_flows = sources(prompt, "CE_ResInversion", "guider")
    if not pivot_flows:  # a face swap alone
        return found | dict.fromkeys(persons, "Reference person")
    (pivot_flow,) = pivot_flows
    pivot_text = text_of(prompt, pivot_flow, "positive")
    forward_flows = sources(prompt, "CE_TripleFlowGuider", "forward_flow")
    forward_texts = {text_of(prompt, flow, "positive") for flow in forward_flows} - {pivot_text}
    if len(persons) == 1:
        found |= {**dict.fromkeys(persons, "Reference person"), pivot_text: "Prompt"}
        found |= dict.fromkeys(forward_texts, "Prompt with the person")
    elif not persons:
        (picture,) = [node_id for node_id, node in prompt.items() if node["class_type"] == "LoadImage"]
        found |= {picture: "Photograph", pivot_text: "Source prompt" if forward_texts else "Prompt"}
        found |= dict.fromkeys(forward_texts, "Target prompt")
    return found


@pytest.mark.parametrize("path", API_FILES, ids=lambda path: path.stem)
def test_a_role_has_its_title_and_no_other_node_has_it(path):
    prompt = json.loads(path.read_text(encoding="utf-8"))
    expected = roles(prompt)
    titles = {node_id: node["_meta"]["title"] for node_id, node in prompt.items()}
    assert {node_id: titles[node_id] for node_id in expected} == expected
    shared = [title for title in titles.values() if title in TITLES]
    least = 7 if "Prompt" in titles.values() or "Source prompt" in titles.values() else 4
    assert len(set(shared)) == len(shared) >= least, "a program sets an input of the one node with a title"


@pytest.mark.parametrize("title", TITLES)
def test_each_title_is_in_use_and_its_node_has_those_inputs_as_values(title):
    prompts = [json.loads(path.read_text(encoding="utf-8")) for path in API_FILES]
    nodes = [node for prompt in prompts for node in prompt.values() if node["_meta"]["title"] == title]
    assert nodes
    for node in nodes:
        values = {name for name, value in node["inputs"].items() if not isinstance(value, list)}
        assert set(TITLES[title]) <= values, node["class_type"]


def test_the_page_for_programs_lists_them():
    page = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
    table = page.split("| Title | Inputs |")[1].split("\n\n")[0]
    rows = [re.findall(r"`(.*?)`", "|".join(row.split("|")[1:3])) for row in table.splitlines()[2:]]
    assert {title: inputs for title, *inputs in rows} == TITLES and len(rows) == len(TITLES)

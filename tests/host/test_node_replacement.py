"""What the host's node replacement does with a renamed node's prompts: CONTRIBUTING.md says how to rename by it."""

import asyncio
import inspect

import nodes as host_nodes  # the host's module: the checkout's root is never on sys.path
import pytest
from app.node_replace_manager import NodeReplaceManager
from comfy_api.v0_0_2 import ComfyAPI, ComfyExtension, io
from helpers.prompts import node


@pytest.fixture
def manager(monkeypatch):
    """A manager to which a renamed node is registered as an extension does it in its on_load."""
    import server

    manager = NodeReplaceManager()
    instance = type("Instance", (), {"node_replace_manager": manager})
    monkeypatch.setattr(server.PromptServer, "instance", instance, raising=False)
    monkeypatch.setitem(host_nodes.NODE_CLASS_MAPPINGS, "CE_New", object)
    replaced = io.NodeReplace(
        new_node_id="CE_New",
        old_node_id="CE_Old",
        old_widget_ids=["scale"],
        input_mapping=[
            {"new_id": "image", "old_id": "picture"},
            {"new_id": "scale", "old_id": "scale"},
            {"new_id": "order", "set_value": "large-small"},
        ],
        output_mapping=[{"old_idx": 0, "new_idx": 1}],
    )
    asyncio.run(ComfyAPI().node_replacement.register(replaced))
    return manager


def prompt(**inputs):
    return {"1": node("CE_Old", **inputs), "2": node("PreviewImage", images=["1", 0])}


def test_an_extension_is_called_when_it_loads():
    assert inspect.iscoroutinefunction(ComfyExtension.on_load)


def test_the_browser_is_told_of_it(manager):
    (told,) = manager.as_dict()["CE_Old"]
    assert told["new_node_id"] == "CE_New" and told["old_widget_ids"] == ["scale"] and len(told["input_mapping"]) == 3


def test_a_prompt_with_the_old_id_is_rewritten(manager):
    sent = prompt(picture=["9", 0], scale=2.0)
    manager.apply_replacements(sent)
    new = {"image": ["9", 0], "scale": 2.0, "order": "large-small"}
    assert sent["1"] == {**node("CE_New", **new), "_meta": {"title": "CE_Old"}}
    assert sent["2"]["inputs"]["images"] == ["1", 1]


def test_an_input_that_the_mapping_does_not_name_is_lost(manager):
    sent = prompt(picture=["9", 0], scale=2.0, mask=["8", 0])
    manager.apply_replacements(sent)
    assert "mask" not in sent["1"]["inputs"]


def test_an_input_that_the_mapping_names_and_the_prompt_leaves_out_fails(manager):
    """The server answers 500, although the input is optional."""
    with pytest.raises(KeyError, match="scale"):
        manager.apply_replacements(prompt(picture=["9", 0]))


def test_an_old_id_that_is_still_a_node_is_left_alone(manager, monkeypatch):
    monkeypatch.setitem(host_nodes.NODE_CLASS_MAPPINGS, "CE_Old", object)
    sent = prompt(picture=["9", 0])
    manager.apply_replacements(sent)
    assert sent["1"]["class_type"] == "CE_Old"


def test_a_node_that_stays_for_old_prompts_can_be_marked():
    assert "is_deprecated" in inspect.signature(io.Schema).parameters

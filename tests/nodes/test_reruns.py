"""What runs again when an input changes, as docs/api.md tells: the nodes that the changed one leads to in the graph."""

import json

import pytest
from helpers.host_client import find_title
from helpers.paths import CHECKOUT

MAIN = {
    "customenhancer_photomaker",
    "customenhancer_photomaker_v2",
    "customenhancer_instantid",
    "customenhancer_lora",
}
SCENE, SWAP, INVERSION, FINAL = "Sample the scene", "Swap the face in", "ResInversion", "Sample the three flows"


def run_again(name, title):
    """The titles of the node with a title and of all that it leads to, in an API file."""
    prompt = json.loads((CHECKOUT / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))
    found, known = {find_title(prompt, title)}, set()
    while found != known:
        known = set(found)
        for node_id, node in prompt.items():
            if known & {value[0] for value in node["inputs"].values() if isinstance(value, list)}:
                found.add(node_id)
    return {prompt[node_id]["_meta"]["title"] for node_id in found}


@pytest.mark.parametrize("name", sorted(MAIN))
def test_settings_of_the_flows_run_the_last_sampling_alone(name):
    for title in ("Scene or identity", "Pivot and forward flow", "Backward flow"):
        again = run_again(name, title)
        assert FINAL in again and not again & {SCENE, SWAP, INVERSION}


@pytest.mark.parametrize("name", sorted(MAIN))
def test_another_person_leaves_the_scene_where_its_prompt_does_not_know_the_photo(name):
    again = run_again(name, "Reference person")
    assert {SWAP, INVERSION, FINAL} <= again and (SCENE in again) == ("photomaker" in name)


@pytest.mark.parametrize("name", sorted(MAIN))
@pytest.mark.parametrize("title", ["Seed of the scene", "Prompt", "Schedule", "Picture size"])
def test_another_seed_prompt_schedule_or_size_makes_another_scene(name, title):
    again = run_again(name, title)
    assert {SCENE, SWAP, INVERSION, FINAL} <= again
    assert not again & {"SDXL checkpoint", "Face analysis", "Face swapper", "Reference person"}

"""The shipped workflows in the real frontend: found, loaded, filled in and run as a person does."""

import io
import json
import os

import pytest
import skimage.data
from browser import Frontend, find_chromium, launch
from conftest import CHECKOUT
from PIL import Image
from test_workflows import api_twin

PACK = "ComfyUI-CustomEnhancer"
WORKFLOWS = CHECKOUT / "workflows"
# What each workflow asks a person for: the node, its widget, and the stand-in to choose there.
CHECKPOINT = ("SDXL checkpoint", "ckpt_name", "tiny_sdxl.safetensors")
CHOICES = {
    "CustomEnhancer with PhotoMaker": [("PhotoMaker file", "photomaker_name", "tiny_photomaker_v1.safetensors")],
    "CustomEnhancer with PhotoMaker V2": [("PhotoMaker file", "photomaker_name", "tiny_photomaker_v2.safetensors")],
    "CustomEnhancer with InstantID": [
        ("InstantID file", "instantid_name", "tiny_instantid.safetensors"),
        ("IdentityNet", "control_net_name", "tiny_identity_net.safetensors"),
    ],
    "CustomEnhancer with a LoRA": [("LoRA of the person", "lora_name", "tiny_lora.safetensors")],
}
PICTURES = CHECKOUT / "output" / "browser"
# Small enough for a busy CPU.
SIZE, STEPS, START_STEP = 256, 4, 2


@pytest.fixture(scope="module")
def browser():
    chromium = find_chromium()
    if chromium is None:
        message = "there is no Chromium or Chrome on PATH; Debian and Ubuntu have one: apt install chromium"
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(message)
    with launch(chromium) as browser:
        yield browser


def own_complaints(frontend: Frontend) -> list[str]:
    """The console's complaints that this pack may have a part in.

    The frontend asks for a help page in the person's language before the one there is; that is no fault.
    """
    suspects = [text for text in frontend.complaints if "CustomEnhancer" in text or "CE_" in text or "uncaught" in text]
    return [text for text in suspects if not text.endswith("/en.md)")]


def astronaut() -> bytes:
    """A photograph of a person, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(file, "PNG")
    return file.getvalue()


def close_welcome(frontend: Frontend) -> None:
    """Send away what greets a person who has never been here."""
    welcome = frontend.page.get_by_role("dialog")
    welcome.wait_for()
    frontend.page.keyboard.press("Escape")
    welcome.wait_for(state="hidden")


@pytest.mark.parametrize("name", CHOICES)
def test_a_person_loads_the_template_and_runs_it(browser, server, name):
    first_visit = name == next(iter(CHOICES))
    frontend = Frontend(browser, server.url, first_visit=first_visit)
    if first_visit:
        close_welcome(frontend)

    workflow = WORKFLOWS / f"{name}.json"
    with Image.open(workflow.with_suffix(".jpg")) as picture:
        assert frontend.load_template(PACK, name) == picture.size
    assert not frontend.unknown_nodes()
    assert frontend.prompt() == json.loads(api_twin(workflow).read_text(encoding="utf-8"))

    # The real models' files and the picture are not here: that, and nothing else, is marked.
    choices = [CHECKPOINT, *CHOICES[name]]
    wanting = {title for title, _, _ in choices} | {"Reference person"}
    frontend.wait_until("count => app.graph.nodes.filter(node => node.has_errors).length >= count", len(wanting))
    assert frontend.red_nodes() == wanting
    for choice in choices:
        frontend.choose(*choice)
    frontend.upload("Reference person", "astronaut.png", astronaut())
    frontend.enter("Picture size", "width", SIZE)
    frontend.enter("Picture size", "height", SIZE)
    frontend.enter("DDIM schedule, 50 steps", "steps", STEPS)
    frontend.enter("Pivot and forward flow", "start_step", START_STEP)
    frontend.wait_until("() => !app.graph.nodes.some(node => node.has_errors)")
    frontend.page.get_by_test_id("error-overlay").wait_for(state="hidden")

    assert frontend.run("Save the final picture") == (SIZE, SIZE)
    assert not frontend.red_nodes()
    frontend.show_all(3600, 1900)
    frontend.page.screenshot(path=PICTURES / f"{workflow.stem}.png")
    assert not own_complaints(frontend)
    frontend.page.close()


def test_every_workflow_is_run():
    assert {path.stem for path in WORKFLOWS.glob("*.json")} == set(CHOICES)


def test_node_help_opens_beside_the_graph(browser, server):
    workflow = json.loads((WORKFLOWS / f"{next(iter(CHOICES))}.json").read_text(encoding="utf-8"))
    frontend = Frontend(browser, server.url)
    frontend.ask("async graph => { await app.loadGraphData(graph) }", workflow)
    frontend.page.mouse.click(*frontend.spot("ResInversion"))
    frontend.page.get_by_test_id("info-button").click()
    frontend.page.get_by_text("Inverts a picture so that").wait_for()
    frontend.page.get_by_text("Paper: section III-B, eq. 3").wait_for()
    frontend.page.screenshot(path=PICTURES / "node_help.png")
    assert not own_complaints(frontend)

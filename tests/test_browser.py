"""The shipped workflow in the real frontend: found, loaded, filled in and run as a person does."""

import io
import json
import os

import pytest
import skimage.data
from browser import Frontend, find_chromium, launch
from conftest import CHECKOUT
from PIL import Image

PACK = "ComfyUI-CustomEnhancer"
NAME = "CustomEnhancer with PhotoMaker"
WORKFLOW = CHECKOUT / "workflows" / f"{NAME}.json"
API_WORKFLOW = CHECKOUT / "workflows" / "api" / "customenhancer_photomaker.json"
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


def test_a_person_loads_the_template_and_runs_it(browser, server):
    frontend = Frontend(browser, server.url, first_visit=True)
    welcome = frontend.page.get_by_role("dialog")
    welcome.wait_for()
    frontend.page.keyboard.press("Escape")
    welcome.wait_for(state="hidden")

    with Image.open(WORKFLOW.with_suffix(".jpg")) as picture:
        assert frontend.load_template(PACK, NAME) == picture.size
    assert not frontend.unknown_nodes()
    assert frontend.prompt() == json.loads(API_WORKFLOW.read_text(encoding="utf-8"))

    # The real models' files and the picture are not here: that, and nothing else, is marked.
    wanting = {"SDXL checkpoint", "PhotoMaker file", "Reference person"}
    frontend.wait_until("count => app.graph.nodes.filter(node => node.has_errors).length >= count", len(wanting))
    assert frontend.red_nodes() == wanting
    frontend.choose("SDXL checkpoint", "ckpt_name", "tiny_sdxl.safetensors")
    frontend.choose("PhotoMaker file", "photomaker_name", "tiny_photomaker_v1.safetensors")
    frontend.upload("Reference person", "astronaut.png", astronaut())
    frontend.enter("Picture size", "width", SIZE)
    frontend.enter("Picture size", "height", SIZE)
    frontend.enter("DDIM schedule, 50 steps", "steps", STEPS)
    frontend.enter("Pivot and forward flow", "start_step", START_STEP)
    frontend.wait_until("() => !app.graph.nodes.some(node => node.has_errors)")
    frontend.page.get_by_test_id("error-overlay").wait_for(state="hidden")

    assert frontend.run("Save the final picture") == (SIZE, SIZE)
    assert not frontend.red_nodes()
    frontend.show_all(2800, 1500)
    frontend.page.screenshot(path=PICTURES / "workflow.png")
    assert not own_complaints(frontend)


def test_node_help_opens_beside_the_graph(browser, server):
    frontend = Frontend(browser, server.url)
    frontend.ask("async graph => { await app.loadGraphData(graph) }", json.loads(WORKFLOW.read_text(encoding="utf-8")))
    frontend.page.mouse.click(*frontend.spot("ResInversion"))
    frontend.page.get_by_test_id("info-button").click()
    frontend.page.get_by_text("Inverts a picture so that").wait_for()
    frontend.page.get_by_text("Paper: section III-B, eq. 3").wait_for()
    frontend.page.screenshot(path=PICTURES / "node_help.png")
    assert not own_complaints(frontend)

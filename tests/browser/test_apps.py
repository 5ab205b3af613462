"""The workflows that open as apps, as a newcomer uses them: found, a photo chosen, run, the picture seen."""

import json

import pytest
from helpers.frontend import Frontend
from helpers.images import astronaut_png
from helpers.paths import CHECKOUT

PACK = "ComfyUI-CustomEnhancer"
WORKFLOWS = CHECKOUT / "workflows"
APPS = sorted(path.stem for path in WORKFLOWS.glob("*.app.json"))
PICTURES = CHECKOUT / "output" / "browser"
MOST_CLICKS = 4  # from the button "Templates" to the first picture, beside the choice of a file
SIZE, STEPS = 256, 4  # small enough for a busy CPU


def app_data(name: str) -> dict:
    """A workflow's `linearData`."""
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))["extra"]["linearData"]


def test_the_five_apps_are_there():
    assert len(APPS) == 5


@pytest.mark.parametrize("name", APPS)
def test_an_app_asks_for_little_in_words_and_shows_one_picture(name):
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    labels = []
    for node_id, widget in app_data(name)["inputs"]:
        (slot,) = [slot for slot in nodes[node_id]["inputs"] if slot["name"] == widget]
        labels.append(slot["label"])
    assert workflow["extra"]["linearMode"] is True
    assert labels[0].startswith("Photo") and labels[-1] == "Model files: what goes where"
    assert len(labels) <= 8 and not any("_" in label for label in labels)
    (output,) = app_data(name)["outputs"]
    assert nodes[output]["type"] == "SaveImage"


CASES = [*[("ready_server", name) for name in APPS], ("newest_server", "CustomEnhancer PhotoMaker V2.app")]


@pytest.mark.parametrize(("place", "name"), CASES)
def test_a_newcomer_gets_a_picture_in_four_clicks_and_one_file(browser, request, place, name, measured):
    frontend = Frontend(browser, request.getfixturevalue(place).url)
    frontend.load_template(PACK, name)
    frontend.see_app(name.removesuffix(".app"))
    frontend.choose_photo("astronaut.png", astronaut_png())
    clicks = frontend.clicks() - 1  # the last of them opened the choice of a file
    for label in ("Width", "Height"):
        frontend.enter_in_app(label, SIZE)
    frontend.shorten(STEPS)
    before = frontend.clicks()
    assert frontend.run_app() == (SIZE, SIZE)
    clicks += frontend.clicks() - before
    measured(f"clicks to the first picture, beside one file choice, {name}, {place}", clicks)
    assert clicks <= MOST_CLICKS
    frontend.page.screenshot(path=PICTURES / f"{name} {place}.png")
    assert not frontend.own_complaints()
    frontend.page.close()


def test_an_app_without_its_models_says_what_goes_where(browser, server):
    frontend = Frontend(browser, server.url)
    frontend.load_template(PACK, "CustomEnhancer PhotoMaker V2.app")
    for told in ("photomaker-v2.bin", "models/photomaker", "inswapper_128.onnx", "Show errors in graph"):
        frontend.page.get_by_text(told).filter(visible=True).first.scroll_into_view_if_needed()
    frontend.page.screenshot(path=PICTURES / "app_without_models.png")
    frontend.show_graph()
    assert {"SDXL checkpoint", "PhotoMaker file"} <= frontend.red_nodes()
    frontend.page.close()

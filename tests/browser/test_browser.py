"""The shipped workflows in the real frontend: found, loaded, filled in and run as a person does."""

import itertools
import json

import pytest
from demo import STAND_INS
from helpers.frontend import Frontend
from helpers.images import astronaut_png
from helpers.paths import CHECKOUT
from helpers.workflow_files import api_twin
from PIL import Image

PACK = "ComfyUI-CustomEnhancer"
WORKFLOWS = CHECKOUT / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
PICTURES = CHECKOUT / "output" / "browser"
# Small enough for a busy CPU.
SIZE, STEPS, START_STEP = 256, 4, 2


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two boxes (left, top, width, height) share any area."""
    return all(a[n] < b[n] + b[n + 2] and b[n] < a[n] + a[n + 2] for n in (0, 1))


def close_welcome(frontend: Frontend) -> None:
    """Send away what greets a person who has never been here."""
    welcome = frontend.page.get_by_role("dialog")
    welcome.wait_for()
    frontend.page.keyboard.press("Escape")
    welcome.wait_for(state="hidden")


def titles_with(prompt: dict, name: str) -> list[str]:
    """The titles of the nodes of an API prompt that have a widget of this name, not fed by a link."""
    nodes = [node for node in prompt.values() if not isinstance(node["inputs"].get(name, []), list)]
    return [node["_meta"]["title"] for node in nodes]


def choices(prompt: dict) -> list[tuple[str, str, str]]:
    """What a workflow asks a person for: the title of the node, its widget, and the stand-in to choose there."""
    return [
        (node["_meta"]["title"], name, STAND_INS[value])
        for node in prompt.values()
        for name, value in node["inputs"].items()
        if isinstance(value, str) and value in STAND_INS
    ]


@pytest.fixture(scope="module")
def frontend(browser, server):
    """A page in which one workflow after the other is opened, as people do; the first visit is welcomed."""
    frontend = Frontend(browser, server.url, first_visit=True)
    close_welcome(frontend)
    yield frontend
    frontend.page.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_person_loads_the_template_and_runs_it(frontend, name):
    frontend.complaints.clear()
    workflow = WORKFLOWS / f"{name}.json"
    with Image.open(workflow.with_suffix(".jpg")) as picture:
        assert frontend.load_template(PACK, name) == picture.size
    frontend.show_graph()
    assert not frontend.unknown_nodes()
    prompt = json.loads(api_twin(workflow).read_text(encoding="utf-8"))
    assert frontend.prompt() == prompt

    # The real models' files and the pictures are not here: that, and nothing else, is marked.
    wanting = {title for title, _, _ in choices(prompt)} | set(titles_with(prompt, "image"))
    frontend.wait_until("count => app.graph.nodes.filter(node => node.has_errors).length >= count", len(wanting))
    assert frontend.red_nodes() == wanting
    if not name.endswith(".app"):  # test_apps.py runs those, as apps
        fill_in_and_run(frontend, prompt)
    assert not frontend.own_complaints()


def fill_in_and_run(frontend: Frontend, prompt: dict) -> None:
    """Choose the stand-ins, a picture and small sizes by clicking, run the graph, and look at its picture."""
    for choice in choices(prompt):
        frontend.choose(*choice)
    for title in titles_with(prompt, "image"):
        frontend.upload(title, "astronaut.png", astronaut_png())
    sizes = ("Picture size", "width", SIZE), ("Picture size", "height", SIZE), ("Schedule", "steps", STEPS)
    for title, widget, value in sizes:
        if title in titles_with(prompt, widget):
            frontend.enter(title, widget, value)
    for title in titles_with(prompt, "start_step"):
        frontend.enter(title, "start_step", START_STEP)
    frontend.wait_until("() => !app.graph.nodes.some(node => node.has_errors)")
    frontend.page.get_by_test_id("error-overlay").wait_for(state="hidden")
    # Several pictures lie side by side in one.
    assert min(frontend.run("Save the final picture")) >= SIZE
    assert not frontend.red_nodes()
    frontend.show_all(1800, 1000)
    name = frontend.ask("() => app.extensionManager.workflow.activeWorkflow.filename")
    frontend.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_no_two_nodes_overlap_as_they_are_drawn(browser, server, nodes_2, measured):
    """If they do: python lab workflow_layout."""
    frontend = Frontend(browser, server.url, nodes_2=nodes_2)
    overlapping = []
    for name in NAMES:
        frontend.load_graph(json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))
        titles = dict(frontend.ask("() => app.graph.nodes.map(node => [node.id, node.title])"))
        pairs = itertools.combinations(frontend.boxes().items(), 2)
        overlapping += [(name, titles[a], titles[b]) for (a, box), (b, other) in pairs if overlap(box, other)]
        frontend.page.screenshot(path=PICTURES / f"{name}{' nodes 2.0' if nodes_2 else ''}.png")
    renderer = "Nodes 2.0" if nodes_2 else "the canvas"
    measured(f"overlapping nodes in {len(NAMES)} workflows, {renderer}", len(overlapping))
    assert not overlapping
    frontend.page.close()


def test_node_help_opens_beside_the_graph(browser, server):
    workflow = json.loads((WORKFLOWS / "CustomEnhancer PhotoMaker.app.json").read_text(encoding="utf-8"))
    frontend = Frontend(browser, server.url)
    frontend.load_graph(workflow)
    frontend.page.mouse.click(*frontend.spot("ResInversion"))
    frontend.page.get_by_test_id("info-button").click()
    frontend.page.get_by_text("Inverts a picture so that").wait_for()
    frontend.page.get_by_text("Paper: section III-B, eq. 3").wait_for()
    frontend.page.screenshot(path=PICTURES / "node_help.png")
    assert not frontend.own_complaints()

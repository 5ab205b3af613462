"""The pack in Chinese: one workflow opened, explained and run in a ComfyUI whose language is set to it."""

import json

from demo import STAND_INS
from helpers.frontend import Frontend
from helpers.images import astronaut_png
from helpers.locales import main_words, node_words
from helpers.paths import CHECKOUT
from helpers.workflow_files import api_twin

WORKFLOW = CHECKOUT / "workflows" / "CustomEnhancer PhotoMaker V2.app.json"
PICTURES = CHECKOUT / "output" / "browser"
SIZE, STEPS = 256, 4  # small enough for a busy CPU
OURS = """() => app.graph.nodes.filter(node => node.type.startsWith("CE_")).map(node => ({
    type: node.type,
    title: node.title,
    category: node.constructor.category,
    inputs: node.inputs.map(input => [input.name, input.label || input.localized_name]),
    widgets: (node.widgets ?? []).map(widget => [widget.name, widget.label]),
    outputs: node.outputs.map(output => output.label || output.localized_name),
}))"""


def as_placed_by_hand() -> dict:
    """The workflow with the stand-in models, and without the English titles and labels that it gives to our nodes."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"].startswith("CE_"):
            node.pop("title", None)
            for entry in node["inputs"]:
                entry.pop("label", None)
        values = node.get("widgets_values") or []
        node["widgets_values"] = [STAND_INS.get(str(value), value) for value in values]
    return workflow


def jobs(prompt: dict) -> dict[str, tuple[str, dict]]:
    """Class and inputs of each node of an API prompt, without the titles; of the models, the stand-ins."""
    found = {}
    for node_id, node in prompt.items():
        inputs = {name: STAND_INS.get(str(value), value) for name, value in node["inputs"].items()}
        found[node_id] = node["class_type"], inputs
    return found


def test_a_workflow_opens_explains_itself_and_runs_in_chinese(browser, server):
    frontend = Frontend(browser, server.url, language="zh")
    frontend.load_graph(as_placed_by_hand())
    words, menu = node_words("zh"), main_words("zh")["nodeCategories"]

    shown = frontend.ask(OURS)
    assert len(shown) == 9
    for node in shown:
        own = words[node["type"]]
        assert node["title"] == own["display_name"]
        assert node["category"].split("/")[0] == "CustomEnhancer"
        assert node["category"].split("/")[1] in set(menu.values())
        for name, label in node["inputs"] + node["widgets"]:
            assert label == own["inputs"][name]["name"]
        assert node["outputs"] == [output["name"] for output in own["outputs"].values()]
    # What is saved and run holds ids and choices, whatever the language.
    assert jobs(frontend.prompt()) == jobs(json.loads(api_twin(WORKFLOW).read_text(encoding="utf-8")))

    frontend.page.mouse.click(*frontend.spot(words["CE_ResInversion"]["display_name"]))
    frontend.page.get_by_test_id("info-button").click()
    page = (CHECKOUT / "web" / "docs" / "CE_ResInversion" / "zh.md").read_text(encoding="utf-8")
    frontend.page.get_by_text(page.splitlines()[-1]).wait_for()
    frontend.page.screenshot(path=PICTURES / "chinese_help.png")

    frontend.upload("Reference person", "astronaut.png", astronaut_png())
    frontend.enter("Picture size", "width", SIZE)
    frontend.enter("Picture size", "height", SIZE)
    frontend.enter("Schedule", "steps", STEPS)
    assert frontend.run("Save the final picture") == (SIZE, SIZE)
    frontend.show_all(1800, 1000)
    frontend.page.screenshot(path=PICTURES / "chinese.png")
    assert not frontend.own_complaints()
    frontend.page.close()

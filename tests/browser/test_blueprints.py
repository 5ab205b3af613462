"""The blueprints in the real frontend: found in the node library, put into a graph, connected and run."""

import pytest
import skimage.data
from helpers.frontend import Frontend
from helpers.host_client import Host
from helpers.paths import CHECKOUT
from PIL import Image

BLUEPRINTS = sorted(path.stem for path in (CHECKOUT / "subgraphs").glob("*.json"))
PICTURES = CHECKOUT / "output" / "browser"
STEPS = 4  # few enough for a busy CPU


@pytest.fixture(scope="module")
def frontend(browser, ready_server):
    """A page in which one blueprint after the other is added."""
    frontend = Frontend(browser, ready_server.url)
    yield frontend
    assert not frontend.own_complaints()
    frontend.page.close()


def test_there_are_four():
    assert len(BLUEPRINTS) == 4


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_it_is_found_in_the_node_library_and_its_nodes_are_known(frontend, name):
    frontend.add_from_library(name)
    inside = frontend.ask("() => app.graph.nodes[0].subgraph.nodes.map(node => node.type)")
    known = frontend.ask("() => Object.keys(LiteGraph.registered_node_types)")
    assert inside and set(inside) <= set(known)


@pytest.mark.parametrize(
    ("name", "output"), [("CustomEnhancer (PhotoMaker)", "picture"), ("Swap a face", "image")], ids=lambda each: each
)
def test_it_runs_between_a_photo_and_a_picture(frontend, ready_server, name, output):
    frontend.add_from_library(name)
    photo = Host(ready_server.url).upload("person.png", Image.fromarray(skimage.data.astronaut()))
    frontend.ask(
        """(name, output) => {
            const [box] = app.graph.nodes;
            const photo = LiteGraph.createNode('LoadImage'), picture = LiteGraph.createNode('PreviewImage');
            picture.title = 'The picture';
            photo.widgets[0].options.values = [name];
            photo.widgets[0].value = name;
            photo.pos = [box.pos[0] - 400, box.pos[1]]; picture.pos = [box.pos[0] + 500, box.pos[1]];
            for (const node of [photo, picture]) app.graph.add(node);
            for (const [slot, input] of box.inputs.entries())
                if (input.type === 'IMAGE') photo.connect(0, box, slot);
            box.connect(box.outputs.findIndex(each => each.name === output), picture, 0);
            for (const widget of box.widgets.filter(each => ['width', 'height'].includes(each.name)))
                widget.value = 256;
        }""",
        photo,
        output,
    )
    frontend.shorten(STEPS)
    assert min(frontend.run("The picture")) >= 256
    frontend.page.screenshot(path=PICTURES / f"{name}.png")

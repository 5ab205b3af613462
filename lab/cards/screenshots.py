"""Take the pictures of the graphs for docs/ and of the README's first steps: python lab cards.screenshots --pocket DIR

All are of the host's own frontend in Chromium, with the pocket world's models under the names of the published files.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from helpers.frontend import Frontend, find_chromium, launch
from helpers.host_client import Host, find_title
from helpers.workflow_files import api_twin
from PIL import Image
from playwright.sync_api import Browser

from cards import CHECKOUT
from cards.cast import SHARP
from cards.first_picture import brighten, first_steps, screen
from cards.prompts import MODELS, card_models
from cards.recipes import RECIPES, Recipe
from devtools.models import put
from host_server import end_well, server
from pocket import kept

WORKFLOWS = CHECKOUT / "workflows"
GRAPHS, STEPS = CHECKOUT / "docs" / "images" / "graphs", CHECKOUT / "web" / "first_picture"
WIDTH = 1600  # of a graph's picture, in pixels
GRAPH_WINDOW, AROUND = (3600, 2100), 24  # the window for a graph, and what is left around it
QUALITY = 78


def graph(browser: Browser, url: str, name: str) -> Image.Image:
    """A workflow's graph, whole, in the frontend's light colours."""
    frontend = Frontend(browser, url)
    brighten(frontend)
    frontend.load_graph(json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))
    frontend.show_all(*GRAPH_WINDOW)
    box = frontend.ask(
        """() => {
            const boxes = app.graph.groups.map(group => group.boundingRect ?? group._bounding);
            const at = (x, y) => app.canvas.ds.convertOffsetToCanvas([x, y]);
            const sides = [0, 1].map(n => Math.min(...boxes.map(box => box[n])));
            const ends = [0, 1].map(n => Math.max(...boxes.map(box => box[n] + box[n + 2])));
            const canvas = app.canvas.canvas.getBoundingClientRect();
            const [start, end] = [at(...sides), at(...ends)];
            return [canvas.left + start[0], canvas.top + start[1], canvas.left + end[0], canvas.top + end[1]];
        }"""
    )
    shot = screen(frontend.page)
    frontend.page.close()
    return shot.crop((box[0] - AROUND, box[1] - AROUND, box[2] + AROUND, box[3] + AROUND))


def _give_pictures(host: Host, name: str, recipe: Recipe) -> None:
    """Put the pictures that a workflow's file names into the host's input folder: those of its card."""
    twin = json.loads(api_twin(WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    for title, picture in recipe.pictures.items():
        shown = picture[0] if isinstance(picture, tuple) else picture
        host.upload(twin[find_title(twin, title)]["inputs"]["image"], shown.at(SHARP))


def _save(picture: Image.Image, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    picture.save(place, quality=QUALITY, optimize=True)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="cards.screenshots", description=__doc__.splitlines()[0])
    parser.add_argument("--pocket", type=Path, required=True, metavar="DIR", help="the pocket world's models")
    parser.add_argument("names", nargs="*", help="parts of the names of workflows, or steps; all if none is given")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("There is no Chromium or Chrome on PATH.")

    end_well()
    temporary = tempfile.TemporaryDirectory(prefix="customenhancer-cards-", ignore_cleanup_errors=True)
    with temporary as base:
        base = Path(base)
        models = card_models(options.pocket, base / "models", MODELS)
        put(models / "checkpoints" / kept.CHECKPOINT, models / "loras" / "my_person.safetensors")  # is not run
        with server(base, models, base / "comfyui.log") as running, launch(chromium) as browser:
            host = Host(running.url)
            chosen = [name for name in RECIPES if not options.names or any(map(name.count, options.names))]
            for name, recipe in ((name, RECIPES[name]) for name in chosen):
                _give_pictures(host, name, recipe)
                shot = graph(browser, running.url, name)
                size = WIDTH, round(WIDTH * shot.height / shot.width)
                _save(shot.resize(size, Image.Resampling.LANCZOS), GRAPHS / f"{name.removesuffix('.app')}.jpg")
            if not options.names or "steps" in options.names:
                for name, shot in first_steps(browser, running.url).items():
                    _save(shot, STEPS / f"{name}.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())

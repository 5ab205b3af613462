"""Give the nodes of the shipped workflows the room they take in both renderers: python lab workflow_layout --url URL

A ComfyUI with this pack must answer at the URL, such as that of `python3 dev.py serve`; Chromium must be installed.
Sizes are asked of the browser, since they depend on fonts, badges and the host's version.
"""

import argparse
import json
import sys
from pathlib import Path

from helpers.frontend import Frontend, find_chromium, launch

from workflow_layout.spread import spread

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="workflow_layout", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="of the server")
    parser.add_argument("names", nargs="*", help="of workflows; all if none is given")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("There is no Chromium or Chrome on PATH.")
    files = [file for file in sorted(WORKFLOWS.glob("*.json")) if not options.names or file.stem in options.names]
    sizes = {file: {} for file in files}
    with launch(chromium) as browser:
        for nodes_2 in (False, True):
            frontend = Frontend(browser, options.url, nodes_2=nodes_2)
            for file in files:
                frontend.load_graph(json.loads(file.read_text(encoding="utf-8")))
                for node, (_, _, width, height) in frontend.boxes().items():
                    known = sizes[file].get(node, (0, 0))
                    sizes[file][node] = max(known[0], width), max(known[1], height)
            frontend.page.close()
    for file in files:
        workflow = json.loads(file.read_text(encoding="utf-8"))
        spread(workflow, sizes[file])
        file.write_text(json.dumps(workflow, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        print(file.stem)
    return 0


if __name__ == "__main__":
    sys.exit(main())

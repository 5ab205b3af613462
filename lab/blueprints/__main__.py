"""Write subgraphs/ anew from the workflows: python lab blueprints"""

import json
from pathlib import Path

from blueprints.boxes import BLUEPRINTS
from blueprints.subgraph import blueprint_file

CHECKOUT = Path(__file__).resolve().parents[2]


def files() -> dict[Path, str]:
    """The text of each file of subgraphs/."""
    found = {}
    for name, blueprint in BLUEPRINTS.items():
        workflow = json.loads((CHECKOUT / "workflows" / blueprint.source).read_text(encoding="utf-8"))
        content = json.dumps(blueprint_file(name, blueprint, workflow), ensure_ascii=False, indent=2)
        found[CHECKOUT / "subgraphs" / f"{name}.json"] = content + "\n"
    return found


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)

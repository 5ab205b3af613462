"""Make the pictures of the workflows, the icon and the banner: python lab cards --pocket DIR

`python3 dev.py cards` sets everything up and passes its arguments on.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from helpers.host_client import Host

from cards.making import banner, card, icon, tiles
from cards.prompts import card_models
from cards.recipes import EMBLEM, RECIPES
from host_server import CHECKOUT, end_well, server

QUALITY = 88  # of JPEG


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="cards", description=__doc__.splitlines()[0])
    parser.add_argument("--pocket", type=Path, required=True, metavar="DIR", help="the pocket world's models")
    parser.add_argument("names", nargs="*", help="parts of the names of cards; all, icon and banner if none is given")
    options = parser.parse_args()

    end_well()
    chosen = {
        name: recipe for name, recipe in RECIPES.items() if not options.names or any(map(name.count, options.names))
    }
    temporary = tempfile.TemporaryDirectory(prefix="customenhancer-cards-", ignore_cleanup_errors=True)
    with (
        temporary as base,
        server(Path(base), card_models(options.pocket, Path(base) / "models"), Path(base) / "comfyui.log") as running,
    ):
        host = Host(running.url)
        for name, recipe in chosen.items():
            started = time.monotonic()
            _save(card(host, name, recipe), CHECKOUT / "workflows" / f"{name}.jpg")
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        if not options.names:
            groups = tiles(host, EMBLEM, RECIPES[EMBLEM])
            _save(banner(groups), CHECKOUT / "web" / "banner.jpg")
            icon(groups).save(CHECKOUT / "web" / "icon.png", optimize=True)
    return 0


def _save(picture, place: Path) -> None:
    picture.save(place, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    sys.exit(main())

"""Models folders: stand-ins with random weights, and what is trained on the pocket world."""

import os
import shutil
from functools import partial
from pathlib import Path

from devtools.cache import digest, ensure
from devtools.processes import CHECKOUT, must

STANDINS, LAB = CHECKOUT / "tests" / "standins", CHECKOUT / "lab"
POCKET = LAB / "pocket"
SUPPORT_PACK = CHECKOUT / "tests" / "support_pack"  # teaches the host the shape of the stand-ins, and counts calls


def standins(python: Path, comfyui: Path) -> Path:
    """A models folder of tiny stand-ins, made by the tests' own code."""
    key = digest(*STANDINS.glob("*.py"), *SUPPORT_PACK.glob("*.py"))
    build = partial(must, python, STANDINS / "make.py", COMFYUI_PATH=str(comfyui))
    return ensure(f"standins-{key}", "the stand-in models", build)


def pocket_world(python: Path, comfyui: Path) -> Path:
    """A models folder of what is trained on the pocket world."""
    key = digest(*POCKET.glob("*.py"), *filter(Path.is_file, POCKET.glob("weights/**/*")))
    build = partial(must, python, LAB, "pocket.models_folder", COMFYUI_PATH=str(comfyui))
    return ensure(f"pocket-{key}", "the pocket world's models", build)


def put(source: Path, place: Path) -> None:
    """Put a file in another place, unless one is there: a hard link where the file system allows it, else a copy."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        return
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)

"""Load the host and the pack as the host loads it: one package made from the checkout's folder."""

import importlib.util
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ["COMFYUI_PATH"])

sys.path.insert(0, str(HOST))

from comfy.cli_args import args  # noqa: E402  the host must be on sys.path first

args.cpu = True


def load_pack():
    """Import the checkout as the package `customenhancer` and return it."""
    spec = importlib.util.spec_from_file_location("customenhancer", CHECKOUT / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = pack
    spec.loader.exec_module(pack)
    return pack


load_pack()

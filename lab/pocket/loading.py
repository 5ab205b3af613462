"""Load the host that COMFYUI_PATH names, and the pack as the host loads it."""

import importlib.util
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def load(**arguments) -> None:
    """Load both, with these of the host's command line arguments, unless it is done, as it is in the tests.

    Raises KeyError where COMFYUI_PATH is not set.
    """
    if "customenhancer" in sys.modules:
        return
    sys.path.insert(1, os.environ["COMFYUI_PATH"])  # before the packages, as where the host runs
    from comfy.cli_args import args

    vars(args).update(arguments)
    spec = importlib.util.spec_from_file_location("customenhancer", CHECKOUT / "__init__.py")
    module = sys.modules["customenhancer"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

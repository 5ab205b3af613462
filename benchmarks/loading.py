"""Load the host that COMFYUI_PATH names, and the pack as the host loads it. Import this before what uses either."""

import importlib.util
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

if "customenhancer" not in sys.modules:  # the tests have loaded both already
    # The host before the rest: its modules have names such as `nodes` and `utils`.
    sys.path.insert(1, os.environ["COMFYUI_PATH"])
    sys.path.append(str(CHECKOUT / "tests"))  # the stand-in models' shape

    import torch
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    spec = importlib.util.spec_from_file_location("customenhancer", CHECKOUT / "__init__.py")
    module = sys.modules["customenhancer"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

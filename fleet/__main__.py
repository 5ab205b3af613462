"""Run the fleet from anywhere: python custom_nodes/ComfyUI-CustomEnhancer/fleet run jobs.yaml --output DIR.

This folder becomes the package `fleet` by its file: the folder above it holds one called `nodes`, as ComfyUI does, and
must not stand on sys.path.
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036  this file is what people run with whatever Python they have
        sys.exit("The fleet needs Python 3.10 or newer; this is " + sys.version.split()[0])
    place = Path(__file__).resolve().parent
    sys.path = [path for path in sys.path if Path(path or ".").resolve() != place]
    spec = importlib.util.spec_from_file_location("fleet", place / "__init__.py")
    sys.modules["fleet"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["fleet"])

    from fleet.command import main

    sys.exit(main())

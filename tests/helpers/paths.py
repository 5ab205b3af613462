"""Where things are."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
CHECKOUT = TESTS.parent
HOST = Path(os.environ["COMFYUI_PATH"])
THIRD_PARTY_PACK = TESTS / "third_party_pack"

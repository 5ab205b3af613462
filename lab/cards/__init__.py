"""The pictures of the shipped workflows, the icon and the banner, made on the pocket world.

Importing it makes the helpers of the tests importable, which are no package of the lab.
"""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = CHECKOUT / "tests"

if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))

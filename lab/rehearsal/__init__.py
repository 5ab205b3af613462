"""The pack at real size: full-size files with random weights, an unmodified host, the flows, and one table.

Importing it makes the stand-ins' code and that of dev.py importable, which are no packages of the lab.
"""

import importlib.util
import sys

from pocket.loading import CHECKOUT

TESTS = CHECKOUT / "tests"

if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))
if "devtools" not in sys.modules:  # its folder is the checkout, which must not stand on sys.path
    spec = importlib.util.spec_from_file_location("devtools", CHECKOUT / "devtools" / "__init__.py")
    module = sys.modules["devtools"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

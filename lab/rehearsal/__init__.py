"""The pack at real size: full-size files with random weights, an unmodified host, the flows, and one table.

Importing it makes the stand-ins' code and that of dev.py importable, which are no packages of the lab.
"""

import sys

from host_server import CHECKOUT, load_devtools

TESTS = CHECKOUT / "tests"

if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))
load_devtools()

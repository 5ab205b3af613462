"""The pictures of the shipped workflows, the icon and the banner, made on the pocket world.

Importing it makes the helpers of the tests and devtools importable, which are no packages of the lab.
"""

import sys

from host_server import CHECKOUT, load_devtools

load_devtools()
TESTS = CHECKOUT / "tests"

if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))

"""A custom node pack for the rehearsal alone: it measures, and changes nothing of what the host computes."""

import sys
from pathlib import Path

# Of the tests' support pack it needs the counters and one node, but not the tiny model that it teaches the host.
TESTS = str(Path(__file__).resolve().parents[3] / "tests")
if TESTS not in sys.path:
    sys.path.append(TESTS)


async def comfy_entrypoint():
    """Give the host the extension (its V3 protocol)."""
    from .extension import RehearsalExtension

    return RehearsalExtension()

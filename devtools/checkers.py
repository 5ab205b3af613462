"""The ecosystem's own checkers of node packs, as checkers.lock pins them."""

from pathlib import Path

from devtools.environment import locked
from devtools.processes import CHECKOUT, SetupError, say

LOCK = CHECKOUT / "devtools" / "checkers.lock"


def checkers() -> Path | None:
    """The folder of their commands, or None, having said why, where they cannot be had."""
    try:
        return locked("checkers", "the checkers of node packs", LOCK).parent
    except SetupError as error:
        say(f"Going on without the checkers of node packs: {error}")
        return None

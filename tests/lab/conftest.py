"""Put lab/ on sys.path for the tests in this folder, and share a fixture."""

import sys

import comfy.utils
import pytest
from helpers.paths import CHECKOUT

sys.path.insert(1, str(CHECKOUT / "lab"))  # after the host, whose modules keep their names


@pytest.fixture(scope="module")
def no_progress_bar():
    """Switch the host's progress bar off for a module's tests."""
    before = comfy.utils.PROGRESS_BAR_ENABLED
    comfy.utils.set_progress_bar_enabled(False)
    yield
    comfy.utils.set_progress_bar_enabled(before)

"""The browser that the tests of this folder share."""

import os

import pytest
from helpers.frontend import find_chromium, launch


@pytest.fixture(scope="session")
def browser():
    """Chromium, without a window."""
    chromium = find_chromium()
    if chromium is None:
        message = "there is no Chromium or Chrome on PATH; Debian and Ubuntu have one: apt install chromium"
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(message)
    with launch(chromium) as browser:
        yield browser

"""The browser that the tests of this folder share, and servers in which every model file is in place."""

import os
import sys
from pathlib import Path

import pytest
from helpers.frontend import find_chromium, launch
from helpers.paths import HOST
from helpers.published_models import published_models
from helpers.real_server import start_server

from devtools.models import standins


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a window. One for each module: while it lives, no other test can run an event loop."""
    chromium = find_chromium()
    if chromium is None:
        message = "there is no Chromium or Chrome on PATH; Debian and Ubuntu have one: apt install chromium"
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(message)
    with launch(chromium) as browser:
        yield browser


@pytest.fixture(scope="session")
def models_in_place(tmp_path_factory):
    """A models folder in which each file that the workflows name is a stand-in."""
    return published_models(standins(Path(sys.executable), HOST), tmp_path_factory.mktemp("published") / "models")


@pytest.fixture(scope="session")
def ready_server(models_in_place, tmp_path_factory):
    """A server with every model file in place."""
    with start_server(tmp_path_factory.mktemp("ready"), models_in_place) as server:
        yield server


@pytest.fixture(scope="session")
def newest_server(models_in_place, tmp_path_factory):
    """The same with the newest frontend in the place of the one that the host pins."""
    frontend = os.environ.get("CUSTOMENHANCER_FRONTEND")
    if not frontend:
        pytest.skip("CUSTOMENHANCER_FRONTEND names no frontend: python3 dev.py test does")
    with start_server(tmp_path_factory.mktemp("newest"), models_in_place, frontend=Path(frontend)) as server:
        yield server

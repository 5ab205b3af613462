"""Put lab/ and the fleet where the tests in this folder find them, and share fixtures."""

import sys

import comfy.utils
import pytest
from helpers.paths import CHECKOUT
from PIL import Image

sys.path.insert(1, str(CHECKOUT / "lab"))  # after the host, whose modules keep their names

from host_server import load_package

load_package("fleet")


@pytest.fixture(scope="module")
def no_progress_bar():
    """Switch the host's progress bar off for a module's tests."""
    before = comfy.utils.PROGRESS_BAR_ENABLED
    comfy.utils.set_progress_bar_enabled(False)
    yield
    comfy.utils.set_progress_bar_enabled(before)


@pytest.fixture
def photographs(tmp_path):
    """Two people's reference and other pictures, by name, in folders of these names below `tmp_path`."""
    for number, name in enumerate(("ann", "bob")):
        for place in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (number, place, 0)).save(tmp_path / name / f"{place}.png")
    return {name: (tmp_path / name / "0.png", (tmp_path / name / "1.png",)) for name in ("ann", "bob")}


@pytest.fixture
def place(photographs):
    """Makes a Place of one of these people with one of the paper's prompts."""
    from paper.jobs import Place
    from paper.prompts import read_prompts

    def make(name="ann", prompt=1, seed=5, **more):
        return Place(name, read_prompts()[prompt - 1], "woman", seed, *photographs[name], **more)

    return make

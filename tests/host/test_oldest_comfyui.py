"""An older ComfyUI is told so in one line, and the number is the same wherever it stands."""

import re
import subprocess
import sys
from types import ModuleType

import pytest
from comfyui_version import __version__ as running
from customenhancer.host.oldest_comfyui import OLDEST_COMFYUI, check_comfyui
from helpers.paths import CHECKOUT

# As the host imports a pack, but for its own modules: of those there is a version at most, in the folder argv[1].
IMPORT = f"""
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("pack", {str(CHECKOUT / "__init__.py")!r})
sys.modules["pack"] = module = importlib.util.module_from_spec(spec)
try:
    spec.loader.exec_module(module)
except ImportError as error:
    print(error)
print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("file", "this"),
    [('__version__ = "0.3.64"\n', "this is 0.3.64"), (None, "this one does not tell its version")],
)
def test_an_older_comfyui_gets_one_clear_line_before_anything_is_imported(file, this, tmp_path):
    if file:
        (tmp_path / "comfyui_version.py").write_text(file)
    done = subprocess.run([sys.executable, "-c", IMPORT, str(tmp_path)], capture_output=True, text=True, check=True)
    line = f"CustomEnhancer needs ComfyUI {OLDEST_COMFYUI} or newer; {this}. Update ComfyUI."
    assert done.stdout.splitlines() == [line, "False"]


@pytest.mark.parametrize("version", [OLDEST_COMFYUI, running, "0.100.0", "1.0.0", OLDEST_COMFYUI + "rc1"])
def test_the_oldest_and_all_newer_ones_are_let_in(version, monkeypatch):
    tell(version, monkeypatch)
    check_comfyui()


@pytest.mark.parametrize("version", ["0.3.76", "0.9.2", "0.22.0", "0.22.99"])
def test_versions_are_compared_by_their_numbers(version, monkeypatch):
    tell(version, monkeypatch)
    with pytest.raises(ImportError, match=f"this is {re.escape(version)}"):
        check_comfyui()


def tell(version, monkeypatch):
    module = ModuleType("comfyui_version")
    module.__version__ = version
    monkeypatch.setitem(sys.modules, "comfyui_version", module)


PAGES = ["README.md", "README.zh.md", "docs/troubleshooting.md", "pyproject.toml"]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_names_the_same_version(page):
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    found = re.findall(r"(\d+\.\d+\.\d+) (?:or newer|或更高版本)", text) + re.findall(
        r'requires-comfyui = ">=(.*)"', text
    )
    assert set(found) == {OLDEST_COMFYUI}

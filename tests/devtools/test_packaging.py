"""The lock file, and the metadata for ComfyUI's registry."""

import ast
import runpy
import sys

import numpy as np
import pytest
from comfy_config.config_parser import extract_node_configuration
from comfyui_version import __version__ as comfyui_version
from helpers.paths import CHECKOUT, HOST
from helpers.published import cloned_files, published_files
from packaging.requirements import Requirement
from PIL import Image

from devtools.comfyui import HOST_VERSION

# What the registry's archive holds, at its top.
ROOMS = {"baselines", "bimd", "drawing", "faces", "fleet", "host", "identity", "nodes", "resinversion"}
SHOWN = {"api_examples", "locales", "subgraphs", "web", "workflows"}
ENTRY = "__init__.py", "prestartup_script.py", "pyproject.toml", "requirements.txt"
FOR_PEOPLE = "README.md", "README.zh.md", "LICENSE", "SECURITY.md"
LOCKED = [Requirement(line) for line in (CHECKOUT / "requirements-dev.lock").read_text().splitlines()]


@pytest.mark.parametrize("file", ["requirements-dev.lock", "devtools/checkers.lock"])
def test_every_locked_package_is_pinned_and_no_index_is_named(file):
    text = (CHECKOUT / file).read_text()
    assert "://" not in text and "--" not in text
    pins = [list(Requirement(line).specifier) for line in text.splitlines()]
    assert len(pins) > 50 and all(len(pin) == 1 and pin[0].operator == "==" for pin in pins)


def test_the_checkers_are_locked_as_they_are_asked_for():
    asked = (CHECKOUT / "devtools" / "checkers.txt").read_text().splitlines()
    assert {line for line in asked if not line.startswith("#")} <= {
        *(CHECKOUT / "devtools" / "checkers.lock").read_text().splitlines()
    }


def test_the_lock_file_leaves_out_what_is_excluded():
    lines = (CHECKOUT / "devtools" / "excluded.txt").read_text().splitlines()
    excluded = {line.split("#")[0].strip() for line in lines} - {""}
    assert excluded == {"opencv-python"} and not excluded & {one.name for one in LOCKED}
    assert "--excludes devtools/excluded.txt" in (CHECKOUT / "requirements-dev.txt").read_text()


@pytest.mark.parametrize("files", [cloned_files, published_files])
def test_nothing_that_is_for_development_changes_what_users_install(files):
    """uv reads the first two from the folder it runs in, and the managers of packs run it in the pack's."""
    assert not {"uv.toml", ".python-version", ".python-versions", "uv.lock", "pip.conf", "setup.cfg"} & files()
    assert "tool.uv" not in (CHECKOUT / "pyproject.toml").read_text()


def test_the_registrys_archive_holds_what_users_need_and_nothing_else():
    files = published_files()
    assert {file.split("/")[0] for file in files} == ROOMS | SHOWN | {*ENTRY, *FOR_PEOPLE}
    assert {file for file in cloned_files() if file.split("/")[0] in ROOMS | SHOWN} <= files
    assert {"locales/en/nodeDefs.json", "locales/zh/nodeDefs.json"} <= files


@pytest.mark.parametrize(
    "file",
    [CHECKOUT / "requirements-dev.txt", HOST / "requirements.txt", CHECKOUT / "requirements.txt"],
    ids=lambda file: f"{file.parent.name}/{file.name}",
)
@pytest.mark.parametrize("python", ["3.10", "3.13"])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_lock_file_satisfies_the_requirements_on_each_system(file, python, platform):
    if file.parent == HOST and comfyui_version != HOST_VERSION:
        pytest.skip(f"ComfyUI {comfyui_version} wants packages of its own")
    system = {"python_version": python, "python_full_version": python + ".1", "sys_platform": platform}
    pins = {}
    for one in LOCKED:
        if one.marker is None or one.marker.evaluate(system):
            assert one.name not in pins, f"{one.name} is pinned twice"
            pins[one.name] = next(iter(one.specifier)).version
    lines = [line.split("#")[0].strip() for line in file.read_text().splitlines()]
    for wanted in map(Requirement, filter(None, lines)):
        name = wanted.name.lower().replace("_", "-").replace("onnxruntime-gpu", "onnxruntime")  # runs on a CPU
        assert wanted.specifier.contains(pins[name]), wanted


def test_the_host_reads_the_registrys_metadata():
    found = extract_node_configuration(str(CHECKOUT))
    assert found.project.name == "customenhancer" and found.project.supported_comfyui_version == ">=0.23.0"
    assert found.tool_comfy.publisher_id and found.project.urls.repository.endswith("ComfyUI-CustomEnhancer")
    assert found.project.supported_os and found.project.supported_accelerators
    assert found.tool_comfy.display_name == "CustomEnhancer"


@pytest.mark.parametrize(("entry", "file"), [("Icon", "web/icon.png"), ("Banner", "web/banner.jpg")])
def test_the_registrys_pictures_are_shipped_in_the_sizes_that_it_asks_for(entry, file):
    repository = extract_node_configuration(str(CHECKOUT)).project.urls.repository
    address = f"{repository.replace('github.com', 'raw.githubusercontent.com')}/main/{file}"
    assert f'\n{entry} = "{address}"\n' in (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    assert file in published_files()
    width, height = Image.open(CHECKOUT / file).size
    if entry == "Icon":
        assert width == height <= 400
    else:
        assert width / height == pytest.approx(21 / 9, abs=1 / height)


@pytest.mark.parametrize(("name", "most", "shape"), [("icon.png", (400, 400), 1), ("banner.jpg", (2100, 900), 21 / 9)])
def test_the_registrys_pictures_have_its_sizes_and_are_bright_when_small(name, most, shape):
    """Else: python3 dev.py cards."""
    with Image.open(CHECKOUT / "web" / name) as picture:
        assert all(side <= limit for side, limit in zip(picture.size, most, strict=True))
        assert picture.width / picture.height == pytest.approx(shape)
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture.convert("RGBA"))
    small = np.asarray(white.convert("L").resize((48, round(48 / shape))), float)
    assert small.mean() > 120 and small.std() > 30


def test_an_old_python_is_told_which_one_is_needed(monkeypatch):
    """An old Python must get as far as the message that says which one is needed."""
    ast.parse((CHECKOUT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 8))
    for name in [name for name in sys.modules if name.split(".")[0] == "devtools"]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it is an error: it is not written for old Pythons
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    with pytest.raises(SystemExit, match="needs Python 3.10 or newer"):
        runpy.run_path(str(CHECKOUT / "dev.py"))

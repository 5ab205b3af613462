"""Load the host and the pack as the host loads it, one package made from the checkout's folder; start a real server."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

CHECKOUT = Path(__file__).resolve().parent.parent
HOST = Path(os.environ["COMFYUI_PATH"])


def load(name: str, file: Path):
    """Import a file as the module `name`, without its folder on sys.path: the host has a `nodes` module of its own."""
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(HOST))

import folder_paths  # noqa: E402  the host must be on sys.path first
from comfy.cli_args import args  # noqa: E402

args.cpu = True
torch.set_num_threads(1)  # the tests' tensors are small: a second thread costs more than it gives

load("customenhancer", CHECKOUT / "__init__.py")
load("devtools", CHECKOUT / "devtools" / "__init__.py")
dev = load("dev", CHECKOUT / "dev.py")

from devtools.models import standins  # noqa: E402  loaded just now
from devtools.server import Server  # noqa: E402


def pytest_collection_modifyitems(items):
    """What needs no server runs first, so that a failure shows early; the browser comes last."""
    servers = ("test_server.py", "test_flow_server.py", "test_recording_server.py", "test_sweep_server.py")
    figures = ("test_seeing_server.py", "test_workflow_server.py")
    slow = (*servers, *figures, "test_real_models.py", "test_browser.py")
    items.sort(key=lambda item: slow.index(item.path.name) if item.path.name in slow else -1)


MEASURED = pytest.StashKey[list[str]]()


def pytest_configure(config):
    config.stash[MEASURED] = []


@pytest.fixture
def measured(request):
    """Call it with a sentence and a number: the run ends with a list of them all, so that bounds come with values."""
    return lambda what, value: request.config.stash[MEASURED].append(f"{what}: {value:.3g}")


def pytest_terminal_summary(terminalreporter, config):
    """Print what the tests measured."""
    if config.stash[MEASURED]:
        terminalreporter.section("measured")
        for line in config.stash[MEASURED]:
            terminalreporter.line(line)


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    """An empty cache folder, which dev.py uses."""
    monkeypatch.setenv("CUSTOMENHANCER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def folder(stand_ins, tmp_path, monkeypatch):
    """A copy of a module's `stand_ins` that a test may spoil, registered as the only insightface folder."""
    folder = tmp_path / "insightface"
    shutil.copytree(stand_ins, folder)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(folder)], set()))
    return folder


def start_server(base: Path, models: Path | None = None, **more_packs: Path):
    """A server with this pack and the test support, on the stand-in models or others; further packs by folder name."""
    packs = {**dev.PACKS, **more_packs}
    models = models or standins(Path(sys.executable), HOST)
    return Server(base, comfyui=HOST, models=models, packs=packs, log=base / "comfyui.log")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running host with this pack and the stand-in models; `server.url` is its address."""
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server

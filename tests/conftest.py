"""Load the host and the pack as the host loads it, one package made from the checkout's folder; fixtures for all rooms.

The rooms have no packages: the base name of a test module is unique over all of them.
"""

import importlib.util
import os
import sys
from pathlib import Path

# The tests' tensors are small: a second thread costs more than it gives. A server that a test starts inherits this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from helpers.paths import CHECKOUT, HOST, TESTS


def load(name: str, file: Path):
    """Import a file as the module `name`, without its folder on sys.path: the host has a `nodes` module of its own."""
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(HOST))

import folder_paths  # noqa: E402  the host must be on sys.path first
import utils.extra_config  # noqa: E402, F401  early, as main.py does: nodes.py puts comfy/, with a utils.py, before it
from comfy.cli_args import args  # noqa: E402

args.cpu = True
torch.set_num_threads(1)

load("customenhancer", CHECKOUT / "__init__.py")
load("fleet", CHECKOUT / "fleet" / "__init__.py")
load("devtools", CHECKOUT / "devtools" / "__init__.py")
load("dev", CHECKOUT / "dev.py")

from helpers.real_server import start_server  # noqa: E402  it needs what was loaded just now

# The order of the rooms: first what others build on, so that the cause of a failure shows before what follows of it;
# what needs a server comes late, and the longest of that first, so that the processes end at about the same time.
ROOMS = (
    "resinversion",
    "bimd",
    "baselines",
    "host",
    "drawing",
    "faces",
    "identity",
    "nodes",
    "devtools",
    "api_examples",
    "fleet",
    "lab",
    "server",
)
SLOW = (
    "test_server.py",
    "test_fuzz_server.py",
    "test_workflow_server.py",
    "test_pocket_method.py",
    "test_inversion_benchmark.py",
    "test_rehearsal_run.py",
    "test_fleet_server.py",
    "test_paper_bench_server.py",
)
BROWSER = "browser"
SIDE_BY_SIDE = "PYTEST_XDIST_WORKER" in os.environ


def rank(path: Path) -> tuple[int, int]:
    """Where a test module stands in the order. The browser's are last, or one process's from the first to the last.

    Side by side, the slowest come before the last two rooms, whose other modules then fill the end.
    """
    room = path.relative_to(TESTS).parts[0]
    if room == BROWSER:
        return -1 if SIDE_BY_SIDE else len(ROOMS), 0
    slow = SLOW.index(path.name) if path.name in SLOW else len(SLOW)
    return ROOMS.index("lab" if SIDE_BY_SIDE and slow < len(SLOW) else room), slow


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let one process take all that needs the browser, as a second browser would slow it down, and else whole modules.

    What is made for a module is made once.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return BROWSER if nodeid.startswith(f"{BROWSER}/") else super()._split_scope(nodeid)

    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    """Put the rooms in order."""
    items.sort(key=lambda item: rank(item.path))


class Measurements:
    """What the tests measured, whichever process they ran in: it comes with their reports."""

    def __init__(self):
        self.lines = []

    def pytest_runtest_logreport(self, report):
        """Take over what a test has measured by its end."""
        if report.when == "teardown":
            self.lines += [line for name, line in report.user_properties if name == "measured"]

    def pytest_terminal_summary(self, terminalreporter):
        """Print it."""
        if self.lines:
            terminalreporter.section("measured")
            for line in self.lines:
                terminalreporter.line(line)


def pytest_configure(config):
    """Gather the measurements of this run."""
    config.pluginmanager.register(Measurements())


@pytest.fixture
def measured(record_property):
    """Call it with a sentence and a number: the run ends with a list of them all, so that bounds come with values."""
    return lambda what, value: record_property("measured", f"{what}: {value:.3g}")


@pytest.fixture
def temporary_folder(tmp_path):
    """The host's folder for previews."""
    before = folder_paths.get_temp_directory()
    folder_paths.set_temp_directory(str(tmp_path))
    yield tmp_path
    folder_paths.set_temp_directory(before)


@pytest.fixture
def inference_mode():
    """As in the host's executor. What a test makes is made of inference tensors, weights too."""
    with torch.inference_mode():
        yield
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running host with this pack and the stand-in models; `server.url` is its address. One for each process."""
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server

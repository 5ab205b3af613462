"""Loading face models leaves nothing behind in the user's home, and asks the network for nothing."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.paths import CHECKOUT, HOST, TESTS

from devtools.models import standins

VARIABLE = "ORT_DISABLE_TELEMETRY"
REPORTED = 15  # seconds after which ONNX Runtime has begun to report; it took 9
USE_FACES = """
import sys, time
sys.path[:0] = [{host!r}, {tests!r}]
import conftest  # loads the pack
import folder_paths
import skimage.data, torch
import onnxruntime  # as any node pack may that is imported after this one
from customenhancer.faces.analysis import load_face_analysis
from customenhancer.faces.choosing import Wanted
from customenhancer.faces.references import read_references
from customenhancer.faces.swap import Retouch, swap_batch
from customenhancer.faces.swappers import load_face_swapper
from customenhancer.faces.onnx_runtime import choose_providers

folder_paths.add_model_folder_path("insightface", {models!r} + "/insightface")
choose_providers()
picture = torch.from_numpy(skimage.data.astronaut()).float()[None] / 255
analysis, swapper = load_face_analysis("buffalo_l"), load_face_swapper("inswapper_128.onnx")
wanted = Wanted("target_faces", "0", [0])
swapped, mask = swap_batch(picture, read_references(analysis, picture), analysis, swapper, wanted, Retouch())
assert mask.any()
time.sleep({seconds})
print("swapped")
"""


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what the pack has set in it, and without other places than HOME."""
    kept = {name: value for name, value in os.environ.items() if name != VARIABLE and not name.startswith("XDG_")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


@pytest.fixture(scope="module")
def use(tmp_path_factory):
    """Load a face pack and a swapper and swap, in a process of its own with an empty home; under strace if it is here.

    Gives `left`, the files that it left in the home and in the folder for temporary files, and `trace`, the system
    calls that reach for another machine, or None.
    """
    home, temporary = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("temporary")
    trace = tmp_path_factory.mktemp("trace") / "trace"
    models = standins(Path(sys.executable), HOST)
    strace = shutil.which("strace")
    seconds = REPORTED if strace else 0
    code = USE_FACES.format(host=str(HOST), tests=str(TESTS), models=str(models), seconds=seconds)
    command = [sys.executable, "-c", code]
    if strace:
        calls = "trace=connect,sendto,sendmsg,sendmmsg"
        command = [strace, "-f", "--seccomp-bpf", "-qq", "-e", calls, "-o", str(trace), *command]
    variables = clean_environment(HOME=str(home), TMPDIR=str(temporary))
    run = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.endswith("swapped\n"), run.stderr
    left = [path for folder in (home, temporary) for path in folder.rglob("*")]
    return SimpleNamespace(left=left, trace=trace.read_text() if strace else None)


def test_loading_face_models_writes_nothing_into_the_home(use):
    assert use.left == []


@pytest.mark.skipif(not shutil.which("strace"), reason="strace, which shows what is looked up, is not installed")
def test_loading_face_models_looks_up_nothing(use):
    reached = [line for line in use.trace.splitlines() if "AF_INET" in line]
    assert reached == []


def test_packs_that_are_imported_before_this_one_are_covered(monkeypatch):
    """ComfyUI runs every pack's prestartup_script.py before it imports the first pack."""
    monkeypatch.delenv(VARIABLE, raising=False)
    runpy.run_path(str(CHECKOUT / "prestartup_script.py"))
    assert os.environ[VARIABLE] == "1"
    assert '"prestartup_script.py"' in (HOST / "main.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["prestartup_script.py", "faces/onnx_runtime.py"])
def test_a_setting_of_the_users_own_stands(monkeypatch, file):
    monkeypatch.setenv(VARIABLE, "0")
    runpy.run_path(str(CHECKOUT / file))
    assert os.environ[VARIABLE] == "0"

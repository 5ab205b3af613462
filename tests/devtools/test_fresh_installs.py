"""The face packages in fresh environments, installed as users do: they import, and a stand-in face swap runs.

It downloads from the package index, so it runs only if asked: `CUSTOMENHANCER_INSTALLS=1 python3 dev.py test -k
fresh_installs`. That takes about 20 minutes, and a gigabyte of disk at a time for each process.
"""

import ctypes.util
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from helpers.paths import HOST
from helpers.published import cloned_files, copy_files, published_files

from devtools.environment import find_uv, python_of
from devtools.models import standins

pytestmark = pytest.mark.skipif(
    os.environ.get("CUSTOMENHANCER_INSTALLS") != "1",
    reason="installing from the package index was not asked for (CUSTOMENHANCER_INSTALLS=1)",
)
UV = find_uv() or [sys.executable, "-m", "uv"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
# The pack's own import of each face package, in an environment without PyTorch, which is the host's to bring.
COMPLAIN = """
import runpy, sys, types
sys.modules["torch"] = types.ModuleType("torch")
face_package = runpy.run_path(sys.argv[1])["face_package"]
for module in ("onnxruntime", "insightface.app", "insightface.model_zoo.inswapper", "cv2"):
    try:
        face_package(module)
    except ImportError as error:
        sys.exit(str(error))
"""
# What the pack's face nodes do, by InsightFace alone.
SWAP = """
import sys
import insightface.app, insightface.model_zoo, skimage.data
root = sys.argv[1] + "/insightface"
providers = ["CPUExecutionProvider"]
picture = skimage.data.astronaut()[..., ::-1].copy()
analysis = insightface.app.FaceAnalysis(name="buffalo_l", root=root, providers=providers)
analysis.prepare(ctx_id=-1, det_size=(640, 640))
face = analysis.get(picture)[0]
swapper = insightface.model_zoo.get_model(root + "/inswapper_128.onnx", providers=providers)
swapped = swapper.get(picture, face, face, paste_back=True)
assert swapped.shape == picture.shape and (swapped != picture).any()
print("swapped")
"""


class Fresh:
    """A fresh environment with nothing in it, a tool that installs there (pip or uv), and a copy of the pack."""

    def __init__(self, folder, tool, files):
        self.outside, self.tool = folder, tool
        self.pack = copy_files(files, folder / "custom_nodes" / "ComfyUI-CustomEnhancer")
        self.python = python_of(folder / "venv")
        without_pip = ["--without-pip"] if tool == "uv" else []
        self.run(sys.executable, "-m", "venv", *without_pip, folder / "venv").check_returncode()

    def run(self, *command, cwd=None):
        """Run a command; its output is that of the test."""
        words = [str(word) for word in command]
        return subprocess.run(words, cwd=cwd or self.outside, env=ENVIRONMENT, capture_output=True, text=True)

    def install(self, *what, cwd=None):
        """`pip install`, by the tool of this environment."""
        command = [self.python, "-m", "pip", "install", "-q"]
        if self.tool == "uv":
            command = [*UV, "pip", "install", "-q", "--python", self.python]
        done = self.run(*command, *what, cwd=cwd)
        assert done.returncode == 0, done.stderr

    def install_line_by_line(self, cwd):
        """As ComfyUI-Manager installs a pack: one command for each line of requirements.txt, without its comment."""
        for line in (self.pack / "requirements.txt").read_text(encoding="utf-8").splitlines():
            if wanted := line.split("#")[0].strip():
                self.install(wanted, cwd=cwd)

    def complaint(self):
        """What the pack says of the face packages, if they do not import."""
        return self.run(self.python, "-c", COMPLAIN, self.pack / "faces" / "onnx_runtime.py").stderr.strip()

    def follow(self, complaint):
        """Run the command that a complaint ends in."""
        words = shlex.split(complaint.rpartition("start it again: ")[2])
        words = [*UV, *words[1:]] if words[0] == "uv" else words
        done = self.run(*words)
        assert done.returncode == 0, done.stderr

    def check(self):
        """The packages import and swap a face."""
        complaint = self.complaint()
        if "libGL" in complaint and not ctypes.util.find_library("GL"):
            self.follow(complaint)  # this machine is one of those
            complaint = self.complaint()
        assert complaint == ""
        done = self.run(self.python, "-c", SWAP, standins(sys.executable, HOST))
        assert done.returncode == 0 and done.stdout.endswith("swapped\n"), done.stderr

    def take_libgl_away(self):
        """Let OpenCV's libraries ask for one that no machine has, in the place of libGL.so.1."""
        (packages,) = self.python.parents[1].glob("lib/python*/site-packages")
        libraries = [*packages.glob("cv2/**/*.so*"), *packages.glob("opencv_python.libs/*.so*")]
        asking = [library for library in libraries if b"libGL.so.1\0" in library.read_bytes()]
        assert asking
        for library in asking:
            copy = library.with_suffix(".new")  # a new file: uv's may be a link into its cache
            copy.write_bytes(library.read_bytes().replace(b"libGL.so.1\0", b"libGX.so.1\0"))
            copy.replace(library)


@pytest.fixture
def fresh(tmp_path):
    """Make a Fresh; it is removed at the end, as each is most of a gigabyte."""
    yield lambda tool, files: Fresh(tmp_path, tool, files)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("tool", ["uv", "pip"])
@pytest.mark.parametrize("place", ["inside", "outside"])
@pytest.mark.parametrize("way", ["whole", "line by line"])
@pytest.mark.parametrize("files", [cloned_files, published_files], ids=["clone", "archive"])
def test_requirements_bring_what_a_face_swap_needs(fresh, tool, place, way, files):
    made = fresh(tool, files())
    cwd = made.pack if place == "inside" else made.outside
    if way == "whole":
        made.install("-r", made.pack / "requirements.txt", cwd=cwd)
    else:
        made.install_line_by_line(cwd)
    made.check()


@pytest.mark.skipif(sys.platform != "linux", reason="only OpenCV's wheels for Linux ask for libGL.so.1")
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_the_offered_command_repairs_opencv_where_a_system_library_is_missing(fresh, tool):
    made = fresh(tool, published_files())
    made.install("-r", made.pack / "requirements.txt")
    made.take_libgl_away()
    complaint = made.complaint()
    assert "OpenCV" in complaint and "libGX.so.1" in complaint and "opencv-python-headless==" in complaint
    made.follow(complaint)
    made.check()
    made.install("-r", made.pack / "requirements.txt")  # as the next update of the pack does
    made.check()

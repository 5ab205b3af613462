"""The rehearsal as a folder for a machine that has PyTorch and no network: host, pack, wheels, and run.py.

What such a machine is taken to have is not carried: PyTorch with torchvision (which needs Pillow), and NumPy. Where it
has OpenCV, onnx, ONNX Runtime and scikit-image, faces are read there as everywhere; else they are given.
"""

import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement

from benchmarks.machine import COPIED_FROM, commit
from devtools.processes import SetupError, must, say
from pocket.loading import CHECKOUT

LIMIT = 60_000_000  # bytes
# Not carried: what is there, what stands empty in its place (absent.py), what no node of the rehearsal is made with
# (the host leaves those nodes out), the browser's part, and what faces are read with.
LEFT_OUT = {
    *("torch", "torchvision", "torchaudio", "triton", "numpy", "pillow", "scipy", "av"),
    *("kornia", "spandrel", "pyopengl", "comfy-angle"),
    *("comfyui-frontend-package", "comfyui-workflow-templates", "comfyui-embedded-docs"),
    *("onnx", "onnxruntime", "opencv-python", "opencv-python-headless", "scikit-image", "scikit-learn"),
    *("hf-xet", "typer", "rich"),
}
PURE = {"comfy-kitchen"}  # there is one without kernels for GPUs, a hundredth of the size
OWN = ("websocket-client", "insightface", "pip")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_12_x86_64")
# Of the checkout: all but pictures, results, and the pocket world's weights.
PACK = (".", ":!*.jpg", ":!lab/*/results", ":!lab/pocket/weights", ":!tests/nodes/schema.json")


def requirements(comfyui: Path, there: Collection[str] = ()) -> dict[str, str]:
    """The packages to carry and their versions: those of the environment in which this runs.

    there: names of further packages that the machine has.
    """
    lines = (comfyui / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    found = dict.fromkeys({*LEFT_OUT, *there}, "")
    _collect([*wanted, *OWN], found)
    found = {name: version for name, version in found.items() if version}
    return found


def _collect(wanted: Iterable[str], found: dict[str, str]) -> None:
    for text in wanted:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and name not in found:
            distribution = importlib.metadata.distribution(name)
            found[name] = distribution.version
            _collect(distribution.requires or (), found)


def _download(folder: Path, packages: dict[str, str], python_version: str) -> None:
    common = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
    common += ["--python-version", python_version, "--implementation", "cp"]
    for platforms, pure in ((PLATFORMS, False), (("any",), True)):
        names = [f"{name}=={version}" for name, version in packages.items() if (name in PURE) == pure]
        options = [option for platform in platforms for option in ("--platform", platform)]
        must(sys.executable, *common, *options, *names)


def _archive(path: Path, folder: Path, files: Iterable[Path], texts: Mapping[str, str] = MappingProxyType({})) -> None:
    with tarfile.open(path, "w:xz") as archive:
        for file in files:
            archive.add(folder / file, file.as_posix())
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def _host_files(comfyui: Path) -> list[Path]:
    """The host's source, without models, pictures, other people's nodes and its own tests."""
    left_out = {
        "models",
        "custom_nodes",
        "input",
        "output",
        "temp",
        "user",
        "tests",
        "tests-unit",
        "__pycache__",
        ".git",
    }
    return [
        path.relative_to(comfyui)
        for path in sorted(comfyui.rglob("*"))
        if path.is_file()
        and not left_out & set(path.relative_to(comfyui).parts[:1])
        and "__pycache__" not in path.parts
    ]


def _pack_files() -> list[Path]:
    listed = ["git", "ls-files", "-z", "--", *PACK]
    names = subprocess.run(listed, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in names.split("\0") if name]


def make_bundle(folder: Path, comfyui: Path, python_version: str, there: Collection[str] = ()) -> None:
    """Write the bundle to `folder`, which is emptied first, for Linux on x86-64 and a Python such as "3.12".

    there: names of packages that the machine has beside what any is taken to have.

    Raises SetupError if it outgrows LIMIT, or a wheel cannot be had.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "wheels").mkdir(parents=True)
    _download(folder / "wheels", requirements(comfyui, there), python_version)
    _archive(folder / "ComfyUI.tar.xz", comfyui, _host_files(comfyui))
    _archive(folder / "pack.tar.xz", CHECKOUT, _pack_files(), {COPIED_FROM: commit()})
    here = Path(__file__).parent
    shutil.copy(here / "offline.py", folder / "run.py")
    shutil.copy(here / "absent.py", folder / "rehearsal_absent.py")
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        say(f"{size / 1e6:6.1f} MB  {name}")
    total = sum(sizes.values())
    say(f"{total / 1e6:6.1f} MB  in all, {len(sizes)} files: python3 {folder / 'run.py'}")
    if total >= LIMIT:
        raise SetupError(f"the bundle takes {total / 1e6:.1f} MB, and is meant to stay below {LIMIT / 1e6:.0f} MB")

"""ONNX Runtime, InsightFace and OpenCV, all optional: which provider runs the face models; how to install or repair it.

Importing this room switches ONNX Runtime's telemetry off, before any node imports ONNX Runtime.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# In the order in which `auto` prefers them.
PROVIDERS = {"CUDA": CUDA, "DirectML": "DmlExecutionProvider", "CoreML": "CoreMLExecutionProvider", "CPU": CPU}
PROVIDER_CHOICES = ["auto", *PROVIDERS]

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"

# The distributions of OpenCV that need a desktop's libraries; for each there is a headless one that does not.
OPENCV = ("opencv-contrib-python", "opencv-python")

# ONNX Runtime reads this when it is first imported. Otherwise it leaves a device id and a database in the user's home,
# and reports to its makers. As prestartup_script.py does for packs that are imported before this one.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def choose_providers(choice: str = "auto") -> list[str]:
    """Turn one of PROVIDER_CHOICES into the list of providers of an ONNX Runtime session; the CPU is always the last.

    Only providers that this ONNX Runtime offers are chosen; if it does not offer the wanted one, the CPU takes its
    place and one log line says so. Raises ImportError if onnxruntime is missing.
    """
    offered = face_package("onnxruntime").get_available_providers()
    wanted = list(PROVIDERS.values()) if choice == "auto" else [PROVIDERS[choice]]
    chosen = next((provider for provider in wanted if provider in offered), CPU)
    if CUDA in wanted and CUDA not in offered and _torch_sees_cuda():
        _explain_idle_gpu("ONNX Runtime offers no CUDA provider")
    elif choice != "auto" and chosen not in wanted:
        logging.warning(
            "provider: ONNX Runtime offers no %s provider here (only %s); using the CPU.", choice, ", ".join(offered)
        )
    return list(dict.fromkeys([chosen, CPU]))


def report_idle_provider(session, providers: list[str]) -> None:
    """Log one line if a session was made for `providers` but could not start the first of them.

    ONNX Runtime then falls back to the CPU, as it does when a CUDA build does not find its CUDA version's libraries.
    """
    if providers[0] in session.get_providers():
        return
    if providers[0] == CUDA and _torch_sees_cuda():
        _explain_idle_gpu("ONNX Runtime could not start its CUDA provider")
    else:
        logging.warning("provider: ONNX Runtime could not start %s; using the CPU.", providers[0])


def face_package(module: str):
    """Import a module of an optional package when it is used, such as "onnxruntime", "insightface.app" or "cv2".

    Returns the package, as the import statement does. Raises ImportError, which says what failed and which command
    installs or repairs the packages.
    """
    try:
        importlib.import_module(module)
        return importlib.import_module(module.partition(".")[0])
    except ImportError as error:
        raise ImportError(_explain_import_error(error)) from error


def repair_command() -> str:
    """The command that puts the GPU build of ONNX Runtime in charge, for the CUDA version PyTorch was built for.

    It writes the GPU build's files over those of the CPU build. The CPU build stays registered: if it were uninstalled,
    the next installation of anything that requires it (InsightFace does) would put it back on top.
    """
    # 1.26 is the last release built for CUDA 12; later ones need CUDA 13.
    package = "onnxruntime-gpu==1.26.0" if torch.version.cuda.startswith("12.") else "onnxruntime-gpu"
    return _install_command("--no-deps", package, again=True)


def _explain_import_error(error: ImportError) -> str:
    """What is wrong with the optional packages, and a command that changes it."""
    causes = list(_causes(error))
    opencv = _installed_opencv()
    if opencv and any((cause.name or "").split(".")[0] == "cv2" for cause in causes):
        name, version = opencv
        # All distributions of OpenCV write the same folder: the headless one's files replace the others, which stay
        # registered. If they were uninstalled, what requires them (InsightFace does) would bring their files back.
        headless = name if name.endswith("-headless") else f"{name}-headless"
        return (
            f"The face nodes need OpenCV, but importing the installed {name} {version} failed: {error}. "
            f"On servers and in containers it lacks a desktop's system libraries, which {headless} does not need. "
            "Stop ComfyUI, run this, and start it again: "
            + _install_command("--no-deps", f"{headless}=={version}", again=True)
        )
    if any(isinstance(cause, ModuleNotFoundError) for cause in causes):
        command = _install_command("-r", str(REQUIREMENTS))
    else:  # what is installed is broken: plain installing finds it there and does nothing
        command = _install_command("--no-deps", "-r", str(REQUIREMENTS), again=True)
    return (
        f"The face nodes need the Python packages insightface and onnxruntime, but importing them failed: {error}. "
        f"Stop ComfyUI, run this, and start it again: {command}"
    )


def _causes(error: BaseException | None) -> Iterator[ImportError]:
    """The import errors that led to `error`, which is the first."""
    while error is not None:
        if isinstance(error, ImportError):
            yield error
        error = error.__cause__ or error.__context__


def _installed_opencv() -> tuple[str, str] | None:
    """Name and version of the registered distribution of OpenCV that has most in it, or None."""
    for name in (*OPENCV, *(f"{name}-headless" for name in OPENCV)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return name, importlib.metadata.version(name)
    return None


@functools.cache
def _explain_idle_gpu(reason: str) -> None:
    logging.warning(
        "provider: face models run on the CPU although PyTorch uses CUDA %s, because %s. "
        "Stop ComfyUI, run this, and start it again: %s",
        torch.version.cuda,
        reason,
        repair_command(),
    )


def _torch_sees_cuda() -> bool:
    return torch.version.cuda is not None and torch.cuda.is_available()


def _install_command(*arguments: str, again: bool = False) -> str:
    """A command line for this very Python, with uv if pip is absent. again: replace what is already installed."""
    if importlib.util.find_spec("pip"):
        words = [sys.executable, "-m", "pip", "install", *(["--force-reinstall"] if again else []), *arguments]
    else:
        words = ["uv", "pip", "install", "--python", sys.executable, *(["--reinstall"] if again else []), *arguments]
    return " ".join(f'"{word}"' if " " in word else word for word in words)

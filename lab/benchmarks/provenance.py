"""What a reader has to know of a benchmark's run, whatever it measures."""

import datetime
import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import comfyui_version
import psutil
import torch

from benchmarks.loading import CHECKOUT


def provenance() -> dict[str, str]:
    """Machine, system, date and versions, this pack's commit among them."""
    return {
        "machine": _machine(),
        "system": platform.platform(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ComfyUI": comfyui_version.__version__,
        "CustomEnhancer": _commit(),
    }


def named(files: Sequence[Path]) -> str:
    """The files' names, each with the first eight digits of its SHA-256."""
    return ", ".join(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}" for file in files)


def _machine() -> str:
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    processor = f"{_processor()}, {os.cpu_count()} cores, {memory}"
    return f"{torch.cuda.get_device_name()}; {processor}" if torch.cuda.is_available() else processor


def _processor() -> str:
    """The processor's name, which Python itself does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str:
    """The checkout's commit; says so where tracked files, other than results, differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!lab/benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"
    return f"commit {commit}{' with changes' if changed else ''}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.strip()

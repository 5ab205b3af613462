"""What a reader has to know of a benchmark's run, whatever it measures."""

import datetime
import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import comfyui_version
import psutil
import torch

from benchmarks.machine import commit, processor


def provenance() -> dict[str, str]:
    """Machine, system, date and versions, this pack's commit among them."""
    return {
        "machine": _machine(),
        "system": platform.platform(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ComfyUI": comfyui_version.__version__,
        "CustomEnhancer": commit(),
    }


def named(files: Sequence[Path]) -> str:
    """The files' names, each with the first eight digits of its SHA-256."""
    return ", ".join(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}" for file in files)


def _machine() -> str:
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    machine = f"{processor()}, {os.cpu_count()} cores, {memory}"
    return f"{torch.cuda.get_device_name()}; {machine}" if torch.cuda.is_available() else machine

"""The machine and the checkout, told without loading the host."""

import platform
import subprocess
from pathlib import Path

from pocket.loading import CHECKOUT

COPIED_FROM = "COMMIT"


def processor() -> str:
    """The processor's name, which Python itself does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str:
    """The checkout's commit; says so where tracked files, other than results, differ from it.

    A copy without git has it in the file COPIED_FROM.
    """
    if (copied := CHECKOUT / COPIED_FROM).is_file():
        return copied.read_text(encoding="utf-8").strip()
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!lab/*/results")
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"
    return f"commit {commit}{' with changes' if changed else ''}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.strip()

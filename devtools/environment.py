"""Virtual environments of locked packages."""

import contextlib
import platform
import subprocess
import sys
from pathlib import Path

from devtools.cache import digest, ensure
from devtools.processes import CHECKOUT, WINDOWS, SetupError, must, run, say, variables

LOCK = CHECKOUT / "requirements-dev.lock"


def find_uv() -> list[str] | None:
    """The command that runs uv, if this machine has it."""
    for command in (["uv"], [sys.executable, "-m", "uv"]):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([*command, "--version"], check=True, capture_output=True, env=variables())
            return command
    return None


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment `folder`."""
    return folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python"


def build_environment(folder: Path, lock: Path) -> None:
    """Make a virtual environment of the packages that `lock` pins: with uv when it can be had, else with pip.

    A lock file is complete, so nothing is resolved again (--no-deps). Raises SetupError.
    """
    python = python_of(folder)
    uv = find_uv()
    if run(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), folder):
        raise SetupError(
            "this Python cannot make virtual environments. Install its venv package"
            " (Debian and Ubuntu: `apt install python3-venv`) or uv, and run this again."
        )
    if not uv and run(python, "-m", "pip", "install", "--quiet", "-c", lock, "uv") == 0:
        uv = [str(python), "-m", "uv"]
    if uv and run(*uv, "pip", "install", "--no-deps", "--python", python, "-r", lock) == 0:
        return
    say("Going on without uv: pip takes a few minutes longer")
    must(python, "-m", "ensurepip")
    must(python, "-m", "pip", "install", "--no-deps", "-r", lock)


def locked(name: str, label: str, lock: Path) -> Path:
    """The interpreter that has the packages of `lock`, for this Python and system, in the cache's folder `name`-…"""
    key = digest(lock, more=f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()} {sys.base_prefix}")
    return python_of(ensure(f"{name}-{key}", label, lambda folder: build_environment(folder, lock)))


def environment() -> Path:
    """The interpreter that runs the host, the pack and its tests."""
    return locked("environment", "the Python environment", LOCK)

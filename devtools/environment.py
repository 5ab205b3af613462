"""A virtual environment of the locked packages."""

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


def build_environment(folder: Path) -> None:
    """Make a virtual environment of the locked packages: with uv when it can be had, else with pip.

    The lock file is complete, so nothing is resolved again (--no-deps).
    """
    python = python_of(folder)
    uv = find_uv()
    if run(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), folder):
        raise SetupError(
            "this Python cannot make virtual environments. Install its venv package"
            " (Debian and Ubuntu: `apt install python3-venv`) or uv, and run this again."
        )
    if not uv and run(python, "-m", "pip", "install", "--quiet", "-c", LOCK, "uv") == 0:
        uv = [str(python), "-m", "uv"]
    if uv and run(*uv, "pip", "install", "--no-deps", "--python", python, "-r", LOCK) == 0:
        return
    say("Going on without uv: pip takes a few minutes longer")
    must(python, "-m", "ensurepip")
    must(python, "-m", "pip", "install", "--no-deps", "-r", LOCK)


def environment() -> Path:
    """The interpreter that has the locked packages, for this Python and this system."""
    key = digest(LOCK, more=f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()} {sys.base_prefix}")
    return python_of(ensure(f"environment-{key}", "the Python environment", build_environment))

"""What users get: a clone, or the registry's archive, which holds what git tracks less what .comfyignore names."""

import shutil
import subprocess
from pathlib import Path

from .paths import CHECKOUT


def cloned_files() -> set[str]:
    """The files that git tracks, as paths from the checkout."""
    return _tracked()


def published_files() -> set[str]:
    """The files of the registry's archive, as paths from the checkout."""
    return _tracked() - _tracked("--ignored", "--exclude-from=.comfyignore")


def copy_files(files: set[str], folder: Path) -> Path:
    """Copy files of the checkout to the same paths in `folder`, and return it."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / file, folder / file)
    return folder


def _tracked(*options: str) -> set[str]:
    command = ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z", "--cached", *options]
    listed = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return {file for file in listed.split("\0") if (CHECKOUT / file).is_file()}

"""The cache: folders that are whole or not there."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from devtools.processes import WINDOWS, say

MARKER = ".complete.json"


def cache() -> Path:
    """The cache folder: CUSTOMENHANCER_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("CUSTOMENHANCER_CACHE"):
        return Path(chosen).expanduser().resolve()
    if WINDOWS:
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "customenhancer"


def contents(folder: str | Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Name and size of every file under `folder`, except the marker and the byte code that Python adds."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from contents(entry.path, name + "/")
            elif name != MARKER and entry.is_file():  # a link to a file that has gone is no file
                yield name, entry.stat(follow_symlinks=False).st_size


def is_whole(folder: Path) -> bool:
    """Whether `folder` was completed and has kept every file at its size. Added files do no harm."""
    try:
        recorded = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return recorded.items() <= dict(contents(folder)).items()
    except (OSError, ValueError, AttributeError):
        return False


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` as a lock between processes; the system lets go of it even when this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        told = False
        while True:
            try:
                if WINDOWS:
                    import msvcrt

                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if not told:
                    say(f"Waiting for another run to finish with {path}")
                told = True
                time.sleep(0.2)
        yield


def ensure(name: str, label: str, build: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name`, made by build(folder) unless a whole one is there.

    The marker is written last, so that what was interrupted or damaged is made again.
    """
    folder = cache() / name
    with exclusive(folder.with_name(name + ".lock")):
        if is_whole(folder):
            return folder
        say(f"Setting up {label} in {folder}")
        start = time.monotonic()
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        build(folder)
        draft = folder / (MARKER + ".part")
        draft.write_text(json.dumps(dict(contents(folder))), encoding="utf-8")
        draft.replace(folder / MARKER)
        say(f"Set up {label} in {time.monotonic() - start:.0f} s")
    return folder


def digest(*files: Path, more: str = "") -> str:
    """Twelve hexadecimal digits that stand for the names and contents of `files` and for `more`."""
    total = hashlib.sha256(more.encode())
    for file in sorted(files):
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]

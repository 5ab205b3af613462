"""What the names in a graph stand for: pictures of the user's and the hosts' model files, by the bytes in them."""

import hashlib
import os
from pathlib import Path

from .errors import FleetError

PICTURE_NODES = {"LoadImage", "LoadImageMask"}
FOLDER = "fleet"  # of the host's input folder, for pictures
CHUNK = 1 << 20


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits. Raises FleetError, naming the file."""
    total = hashlib.sha256()
    try:
        with open(file, "rb") as content:
            while part := content.read(CHUNK):
                total.update(part)
    except OSError as error:
        raise FleetError(f"{file}: cannot be read: {error.strerror}") from error
    return total.hexdigest()


class Hashes:
    """SHA-256 of files, each read once as long as its size and time of change stay."""

    def __init__(self):
        self._known: dict[tuple, str] = {}

    def __call__(self, file: Path) -> str:
        """See `sha256`."""
        try:
            status = os.stat(file)
        except (OSError, ValueError) as error:  # ValueError: for a name that no file can have
            raise FleetError(f"{file}: cannot be read: {error}") from error
        key = str(file), status.st_size, status.st_mtime_ns
        if key not in self._known:
            self._known[key] = sha256(file)
        return self._known[key]


class Pictures:
    """Pictures named in job lists, by the names that the hosts are to know them by: the hash of what is in them."""

    def __init__(self, hashes: Hashes):
        self._hashes = hashes
        self._files: dict[str, Path] = {}

    def name(self, file: Path) -> str:
        """What LoadImage is to load, as "fleet/<hash>.png". Raises FleetError where the file cannot be read."""
        name = f"{FOLDER}/{self._hashes(file)}{file.suffix.lower()}"
        self._files[name] = file
        return name

    def has(self, name) -> bool:
        """Whether a value is such a name."""
        return isinstance(name, str) and name in self._files

    def content(self, name: str) -> bytes:
        """The bytes behind such a name. Raises FleetError where they are not those that it was made of."""
        file = self._files[name]
        try:
            content = file.read_bytes()
        except OSError as error:
            raise FleetError(f"{file}: cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() not in name:
            raise FleetError(f"{file}: has changed since the run began; run the list again")
        return content


class ModelFiles:
    """The files of a models folder, by the names that a graph may use: what follows a kind's folder, and face packs."""

    def __init__(self, folder: Path | None, hashes: Hashes):
        self._hashes = hashes
        self._named: dict[str, list[Path]] = {}
        if folder and not folder.is_dir():
            raise FleetError(f"--models {folder}: is no folder")
        found = os.walk(folder, followlinks=True) if folder else ()
        for path in sorted(Path(place, file) for place, _, files in found for file in files):
            if path.is_file():
                parts = path.relative_to(folder).parts
                for start in range(1, len(parts)):
                    self._named.setdefault("/".join(parts[start:]), []).append(path)
                if len(parts) > 2:  # a pack is chosen by its folder's name
                    self._named.setdefault(parts[-2], []).append(path)

    def fingerprint(self, value) -> str | None:
        """What tells the contents behind a graph's value from others; None where it names no file of the folder."""
        if not isinstance(value, str):
            return None
        found = self._named.get(value.replace("\\", "/"))
        return "".join(self._hashes(path) for path in found) if found else None

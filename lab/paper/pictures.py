"""Pictures from files: their pixels, and digests of what is in them."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def picture_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The picture files in a folder, by name. pattern: `**/*` takes those in its folders as well."""
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES)


def open_picture(path: Path) -> Image.Image:
    """A picture as RGB, upright. Raises ValueError, naming the file, for what is no picture."""
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as a picture: {error}") from error


def as_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as (3, H, W), 0 .. 1."""
    return torch.from_numpy(np.asarray(picture, np.float32) / 255).movedim(-1, 0)


def square(picture: Image.Image) -> Image.Image:
    """The largest square from the middle."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's files with their names, in hexadecimal."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of(*(text for file in files for text in (file.relative_to(path).as_posix(), digest(file))))
    about = path.stat()
    return _digest(path, about.st_mtime_ns, about.st_size)


def digest_of(*texts: str) -> str:
    """The SHA-256 of several texts, in hexadecimal; where one ends and the next begins counts."""
    return hashlib.sha256("".join(f"{len(text)}:{text}" for text in texts).encode()).hexdigest()


@functools.cache
def _digest(path: Path, changed: int, size: int) -> str:
    """A file's digest, read again only if the file was changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _whole(file)


def _whole(file) -> str:
    """Python 3.10 has no file_digest."""
    return hashlib.sha256(file.read()).hexdigest()

"""Families of ONNX files: which one a file is of, told by what it takes and gives, never by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .errors import cannot_load
from .onnx_signature import Signature, read_signature

AGAIN = "Download it again, or choose another file."


class Family(Protocol):
    """title, licence: in a few words. fits: whether a file of this signature is of the family."""

    title: str
    licence: str

    def fits(self, signature: Signature) -> bool: ...


def family_of(path: Path, families: Sequence[Family], kind: str) -> Family:
    """The family of a file. kind: what those of these families are, for the message.

    Raises ValueError, naming the input model_name, for a file that is damaged or of no such family.
    """
    try:
        signature = read_signature(path)
    except (ValueError, OSError) as error:
        raise cannot_load("model_name", str(path), error, AGAIN) from error
    family = _fitting(families, signature)
    if family is None:
        raise ValueError(
            f"model_name: {path} is an ONNX file, but not a {kind} that can be used here: it leads {signature}. "
            f"Those that can: {licences(families)}."
        )
    return family


def licences(families: Sequence[Family]) -> str:
    """The families with their licences, for a sentence."""
    return "; ".join(f"{family.title} ({family.licence})" for family in families)


def about_files(files: dict[str, Path], families: Sequence[Family], kind: str, chosen: str) -> list[str]:
    """A line for each file that can be chosen: its family and licence. The chosen one comes first."""
    return [f"{name}: {_about(files[name], families, kind)}" for name in sorted(files, key=lambda name: name != chosen)]


def _about(path: Path, families: Sequence[Family], kind: str) -> str:
    try:
        family = _fitting(families, read_signature(path))
    except (ValueError, OSError):
        return "cannot be read"
    return f"{family.title}, licence: {family.licence}" if family else f"not a {kind} that can be used here"


def _fitting(families: Sequence[Family], signature: Signature) -> Family | None:
    return next((family for family in families if family.fits(signature)), None)

"""A read person as a small safetensors file: an embedding for each recogniser, and no picture.

Tensors `embedding.<recogniser>`, (D,) float32; metadata `face_format_version` and `pictures`, beside what the writer
adds.
"""

import safetensors
import torch

from .person import PersonFace

VERSION = "1"
PREFIX = "embedding."
LONGEST = 4096  # numbers of an embedding
MOST_NAME = 100  # characters of a recogniser's name
REMEDY = "Choose a file made by Save Face, or save it again."


def person_contents(face: PersonFace) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a person's file."""
    tensors = {f"{PREFIX}{name}": embedding.float() for name, embedding in face.embeddings.items()}
    return tensors, {"face_format_version": VERSION, "pictures": str(face.pictures)}


def read_person_file(path: str, name: str) -> PersonFace:
    """Read a PersonFace: to the last bit what was written.

    name: the input that chose the file, for messages. Raises ValueError for a file that is damaged, of another kind, or
    of a later version.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            keys = [key for key in file.keys() if key.startswith(PREFIX)]  # noqa: SIM118
            # Copied: the tensors of an open file lie in that file, which then could not be replaced or deleted.
            tensors = {key.removeprefix(PREFIX): file.get_tensor(key).clone() for key in keys}
    except (safetensors.SafetensorError, OSError, UnicodeError, AttributeError) as error:  # the last: unknown dtypes
        raise ValueError(
            f"{name}: {path} cannot be read ({error}): it is damaged, cut short, or another kind of file. {REMEDY}"
        ) from error
    version = metadata.get("face_format_version")
    if version is None:
        raise ValueError(f"{name}: {path} is not a saved face. {REMEDY}")
    if version != VERSION:
        raise ValueError(
            f"{name}: {path} has format version {version[:20]!r}, and this CustomEnhancer reads version {VERSION}. "
            "Update CustomEnhancer, or save the face again with this one."
        )
    fault = _fault(metadata, tensors)
    if fault:
        raise ValueError(f"{name}: {path} is damaged: {fault}. {REMEDY}")
    return PersonFace(tensors, int(metadata["pictures"]))


def _fault(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> str | None:
    """What is wrong with the contents of a file of the right version, None if nothing is."""
    pictures = metadata.get("pictures", "")
    if not (pictures.isascii() and pictures.isdecimal() and len(pictures) < 10):
        return "pictures is not a number"
    if not tensors:
        return "there is no embedding"
    for recogniser, embedding in tensors.items():
        if len(recogniser) > MOST_NAME:
            return f"a recogniser's name has {len(recogniser)} characters"
        if embedding.dtype != torch.float32 or embedding.ndim != 1 or not 0 < len(embedding) <= LONGEST:
            return f"{recogniser} is {embedding.dtype} of shape {tuple(embedding.shape)}, not a row of torch.float32"
        if not torch.isfinite(embedding).all() or not embedding.any():
            return f"{recogniser} holds NaN, Inf or nothing but 0"
    return None

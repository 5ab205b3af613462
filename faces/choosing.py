"""Which faces of a picture are meant: by number, all of them, one person, women or men."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .analysis import check_part, sort_faces

# What an input of face indices says for every face of a picture.
ALL = "all"
GENDERS = {"any": None, "women": 0, "men": 1}  # as InsightFace's genderage says it
SAME_PERSON = 0.3  # cosine from which on a face counts as the person to replace


@dataclass(frozen=True)
class Wanted:
    """The faces that are meant.

    indices: their numbers, from 0, in one of FACE_ORDERS; None for all. gender: of GENDERS; others are not counted.
    person: (512,), a raw embedding: the one face nearest to it, if its cosine is `likeness` or more; then no number
    counts.
    """

    indices: list[int] | None
    order: str = "left-right"
    gender: str = "any"
    person: torch.Tensor | None = None
    likeness: float = SAME_PERSON

    def of(self, faces: list) -> list:
        """The faces of a picture that may be meant, in the order in which they are counted."""
        if self.person is not None:
            return _nearest(faces, self.person, self.likeness)
        return sort_faces([face for face in faces if self._has_gender(face)], self.order)

    def numbers(self, counted: list) -> list[int]:
        """Which of them are meant."""
        return list(range(len(counted))) if self.indices is None or self.person is not None else self.indices

    def _has_gender(self, face) -> bool:
        wanted = GENDERS[self.gender]
        if wanted is None:
            return True
        gender = getattr(face, "gender", None)
        if gender is None:
            raise ValueError(
                f"gender: {self.gender}, but this face_analysis does not tell. Load a pack with genderage.onnx, such as "
                "buffalo_l, or choose any."
            )
        return int(gender) == wanted


def _nearest(faces: list, person: torch.Tensor, likeness: float) -> list:
    cosines = []
    for face in faces:
        check_part(face, "embedding", axes=1)
        cosines.append(F.cosine_similarity(torch.from_numpy(np.float32(face.embedding)), person, dim=0).item())
    best = max(range(len(faces)), key=cosines.__getitem__, default=None)
    return [faces[best]] if best is not None and cosines[best] >= likeness else []


def parse_targets(name: str, text: str) -> list[int] | None:
    """Face indices, or None for `all`. Raises ValueError, naming the input, for anything else."""
    return None if text.strip().lower() == ALL else parse_indices(name, text, f", or {ALL}")


def parse_indices(name: str, text: str, otherwise: str = "") -> list[int]:
    """Read the input called `name`: face indices from 0, separated by commas. Raises ValueError for anything else.

    otherwise: what else may stand there, for the message.
    """
    indices = [part.strip() for part in text.split(",")]
    if not all(index.isdecimal() for index in indices):
        raise ValueError(
            f"{name}: {text!r} is not a list of face indices. Write numbers from 0, separated by commas, such as 0,2"
            f"{otherwise}."
        )
    return [int(index) for index in indices]


def pick_faces(name: str, where: str, faces: list, indices: list[int], otherwise: str = "") -> list:
    """The faces of these indices. Raises ValueError, naming the input and `where` it looked, if one is out of range.

    otherwise: what else can be done about it, for the message.
    """
    if max(indices) >= len(faces):
        remedy = ", ".join(filter(None, [f"Choose 0 to {len(faces) - 1}", otherwise]))
        raise ValueError(
            f"{name}: index {max(indices)} is out of range: {where} has {len(faces)} face(s), counted from 0. {remedy}."
        )
    return [faces[index] for index in indices]

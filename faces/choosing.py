"""Which faces of each picture are meant: by number, all of them, one person, women or men."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .analysis import check_part, detect_faces, find_faces, sort_faces
from .errors import no_face_in_picture, which_pictures
from .person import mean_embedding
from .pictures import each_picture
from .tracking import Tracks

# What an input of face indices says for every face of a picture.
ALL = "all"
GENDERS = {"any": None, "women": 0, "men": 1}  # as InsightFace's genderage says it
SAME_PERSON = 0.3  # cosine from which on a face counts as the person who is meant


@dataclass(frozen=True)
class Wanted:
    """The faces that are meant.

    name, text: the input that says which, for messages. indices: their numbers, from 0, in one of FACE_ORDERS; None for
    all. gender: of GENDERS; others are not counted. person: (512,), a raw embedding: the one face nearest to it, if its
    cosine is `likeness` or more; then no number counts. follow: keep the numbers from picture to picture, by person.
    """

    name: str
    text: str
    indices: list[int] | None
    order: str = "left-right"
    gender: str = "any"
    person: torch.Tensor | None = None
    likeness: float = SAME_PERSON
    follow: bool = False

    def counted(self, faces: list) -> list:
        """The faces of a picture that may be meant, in the order in which they are counted."""
        faces = [face for face in faces if _has_gender(face, self.gender)]
        if self.person is not None:
            return _nearest(faces, self.person, self.likeness)
        return sort_faces(faces, self.order)

    def chosen(self, counted: list) -> list:
        """Those of them that are meant; None in the place of one who is not there."""
        if self.indices is None or self.person is not None:
            return counted
        return [counted[index] if index < len(counted) else None for index in self.indices]

    def check(self, number: int, faces: list, counted: list, leaves: str) -> None:
        """Raise ValueError, naming the input, unless picture `number` shows every face that is meant.

        faces: all that it shows. counted: see there. leaves: what pass_through does with a picture without a face, as
        in "leaves it unchanged".
        """
        passing = "or set no_face to pass_through, which takes the faces that are there"
        if self.person is not None and not counted:
            raise ValueError(
                f"person: nobody in picture {number} of image is like them (a cosine of {self.likeness:g} or more). "
                f"Lower person_likeness, {passing}."
            )
        if not faces:
            raise no_face_in_picture("image", number, leaves)
        if not any(face is not None for face in counted):
            raise ValueError(
                f"gender: none of the {len(faces)} face(s) in picture {number} of image is among {self.gender}. Choose "
                f"any, {passing}."
            )
        if self.indices is not None and self.person is None:
            where = f"picture {number} of image" + ("" if self.gender == "any" else f", of {self.gender} only,")
            if None in pick_faces(self.name, where, counted, self.indices, passing):
                raise ValueError(f"{self.name}: one of them is not in {where}. Choose others, {passing}.")


def wanted_faces(
    face_analysis, name: str, text: str, order: str, person: torch.Tensor | None, likeness: float, gender: str
) -> Wanted:
    """The faces that a node's inputs mean. name, text: the input of indices, and what it says.

    person: (N, H, W, C), RGB in 0..1, pictures of somebody, whose largest faces count; or None.
    """
    embedding = None
    if person is not None:
        embedding, _ = mean_embedding(find_faces(face_analysis, person, "large-small", 0, "person"), "person")
    return Wanted(name, text, parse_targets(name, text), order, gender, embedding, likeness)


def each_wanted(
    face_analysis, images: torch.Tensor, wanted: Wanted, no_face: str, leaves: str, done: str
) -> Iterator[tuple[int, torch.Tensor, list]]:
    """Number, picture and the faces that are meant, for each picture of a batch (N, H, W, C), RGB in 0..1.

    Each picture is analysed once. A face that is not there is None. no_face: "error" raises ValueError, naming the
    input, where one is missing; "pass_through" goes on, and one warning names the pictures. leaves: see Wanted.check.
    done: what was done with the faces that were found, for the warning.
    """
    tracks = Tracks(wanted.order) if wanted.follow and wanted.person is None else None
    missing = []
    for number, picture in each_picture(images):
        faces = detect_faces(face_analysis, picture)
        counted = wanted.counted(faces)
        counted = tracks.follow(counted) if tracks else counted
        if no_face == "error":
            wanted.check(number, faces, counted, leaves)
        chosen = wanted.chosen(counted)
        there = [face for face in chosen if face is not None]
        for face in there:
            check_part(face, "kps", axes=2)
        if not there or (wanted.indices is not None and len(there) < len(chosen)):
            missing.append(number)
        yield number, picture, chosen
    if missing and wanted.person is not None:
        logging.warning("person: %s of image did not show them. %s", which_pictures(missing).capitalize(), done)
    elif missing:
        logging.warning(
            "%s: %r, of which %s of image did not show all. %s", wanted.name, wanted.text, which_pictures(missing), done
        )


def _has_gender(face, gender: str) -> bool:
    if GENDERS[gender] is None:
        return True
    told = getattr(face, "gender", None)
    if told is None:
        raise ValueError(
            f"gender: is {gender}, but this face_analysis does not tell. Load a pack with genderage.onnx, such as "
            "buffalo_l, or choose any."
        )
    return int(told) == GENDERS[gender]


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

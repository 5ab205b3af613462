"""Whose faces come into a picture: read from reference pictures, or a face that was read before."""

from dataclasses import dataclass

import numpy as np
import torch

from .analysis import check_recogniser, detect_faces, embedding_of, pick_each, sort_faces, sorted_faces
from .choosing import parse_indices, pick_faces
from .errors import no_face_in_any
from .person import PersonFace, mean_embedding
from .pictures import each_picture

FIRST, MEAN = REFERENCE_PICTURES = ("first", "mean")


@dataclass(frozen=True)
class References:
    """Whose faces come into a batch.

    identities: normalised embeddings, (512,) each; one for all faces, or one for each, in order. text: the input
    reference_faces, for messages.
    """

    identities: list[np.ndarray]
    text: str = "0"


def chosen_references(
    face_analysis, face: PersonFace | None, reference: torch.Tensor | None, faces: str, order: str, pictures: str
) -> References:
    """Whose faces come into a batch: a face's, or those of `read_references`, by a FACEANALYSIS of buffalo_l.

    Raises ValueError, naming the input, if neither is given, or the face or the analysis is of another recogniser.
    """
    if face is not None:
        return References([_normalised(face.embedding("buffalo_l", "the face swapper"))])
    if reference is None:
        raise ValueError("reference: is not connected, and neither is face. Connect pictures of the person, or a face.")
    check_recogniser(face_analysis, "buffalo_l", "the face swapper")
    return read_references(face_analysis, reference, faces, order, pictures)


def read_references(
    face_analysis, reference: torch.Tensor, faces: str = "0", order: str = "left-right", pictures: str = FIRST
) -> References:
    """Whose faces a reference batch shows, (N, H, W, C), RGB in 0..1.

    faces: indices, see `parse_indices`, counted in `order` of FACE_ORDERS. pictures: "first", the first picture that
    shows a face; "mean", all of them. Raises ValueError, naming the input, where there is no such face.
    """
    indices = parse_indices("reference_faces", faces)
    if pictures == MEAN:
        found = sorted_faces(face_analysis, reference, order)
        people = [pick_each(found, index, "reference") for index in indices]
        return References([_normalised(mean_embedding(each, "reference")[0]) for each in people], faces)
    found = sort_faces(_first_faces(face_analysis, reference), order)
    return References(
        [_normalised(embedding_of(each)) for each in pick_faces("reference_faces", "reference", found, indices)], faces
    )


def _first_faces(face_analysis, reference: torch.Tensor) -> list:
    """The faces of the first picture that shows any."""
    for _, picture in each_picture(reference):
        if faces := detect_faces(face_analysis, picture):
            return faces
    raise no_face_in_any("reference", len(reference))


def _normalised(embedding: torch.Tensor) -> np.ndarray:
    """A raw embedding, (512,), with length 1, as InsightFace's Face has it."""
    raw = embedding.numpy()
    return raw / np.linalg.norm(raw)

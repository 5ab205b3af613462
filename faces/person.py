"""One person, read once from several pictures: a face that swaps, PhotoMaker V2 and InstantID take, and that is saved.

A CE_FACE. Its embeddings are means: of each picture's normalised embedding, weighted by how sure the detector was.
"""

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .analysis import RECOGNISERS, embedding_of, find_faces, find_recogniser
from .errors import which_pictures

STRANGER = 0.2  # cosine with the other pictures' mean below which a picture shows somebody else


@dataclass(frozen=True)
class PersonFace:
    """embeddings: raw, (512,) float32, by the recogniser's name, such as w600k_r50. pictures: how many were read."""

    embeddings: dict[str, torch.Tensor]
    pictures: int

    def embedding(self, pack: str, purpose: str, name: str = "face") -> torch.Tensor:
        """The embedding of a pack's recogniser. Raises ValueError, naming the input `name`, if it is not there."""
        wanted = RECOGNISERS[pack]
        if wanted not in self.embeddings:
            raise ValueError(
                f"{name}: it was read with {', '.join(self.embeddings)}, but {purpose} was trained with {wanted}. Read "
                f"the person again with the pack {pack} beside."
            )
        return self.embeddings[wanted]


def recogniser_name(face_analysis) -> str:
    """What a face_analysis's recogniser is called: as in RECOGNISERS, or as its file. Raises ValueError without one."""
    file = getattr(find_recogniser(face_analysis), "model_file", None)
    if not file:
        raise ValueError(
            "face_analysis: does not say which file its recogniser came from, so nothing could tell what a saved face "
            "fits. Connect Load Face Analysis."
        )
    stem = Path(file).stem
    return next((name for name in RECOGNISERS.values() if stem.startswith(name)), stem)


def read_person(face_analyses: dict, images: torch.Tensor, order: str, index: int, name: str) -> PersonFace:
    """The person whom pictures show.

    face_analyses: FACEANALYSIS values of different packs, by the inputs that they came from. images: (N, H, W, C), RGB
    in 0..1. order, index: which face of each counts. name: the input with the pictures. Pictures without a face, and
    those of somebody else, are left out with a warning. Raises ValueError, naming the input, if no picture shows a
    face, or two packs have one recogniser.
    """
    embeddings, counts = {}, []
    for socket, analysis in face_analyses.items():
        with _naming(socket):
            recogniser = recogniser_name(analysis)
            if recogniser in embeddings:
                raise ValueError(
                    f"face_analysis: has the same recogniser, {recogniser}, as another input. Load another pack, or "
                    "disconnect it."
                )
            embeddings[recogniser], kept = mean_embedding(find_faces(analysis, images, order, index, name), name)
            counts.append(kept)
    return PersonFace(embeddings, min(counts))


@contextmanager
def _naming(socket: str):
    """Errors about a face_analysis name the input that it came from."""
    try:
        yield
    except ValueError as error:
        said = str(error)
        if not said.startswith("face_analysis:"):
            raise
        raise ValueError(socket + said.removeprefix("face_analysis")) from error


def mean_embedding(faces: dict, name: str) -> tuple[torch.Tensor, int]:
    """What faces of one person, by their picture's number, have in common: a raw embedding, (512,), and of how many.

    Its direction is the weighted mean of their directions, its length that of their lengths. Of three faces and more,
    those far from the mean of the others are left out, with a warning that names `name`.
    """
    numbers = list(faces)
    raw = torch.stack([embedding_of(face) for face in faces.values()])
    sure = torch.tensor([float(getattr(face, "det_score", None) or 1.0) for face in faces.values()])
    directions = F.normalize(raw, dim=-1)
    keep = torch.ones(len(raw), dtype=torch.bool)
    if len(raw) >= 3:
        weighted = directions * sure[:, None]
        others = F.normalize(weighted.sum(0) - weighted, dim=-1)
        keep = (directions * others).sum(-1) >= STRANGER
        keep = keep if keep.any() else torch.ones_like(keep)
    if not keep.all():
        strangers = [number for number, kept in zip(numbers, keep.tolist(), strict=True) if not kept]
        logging.warning("%s: %s left out: the face there is unlike the others.", name, which_pictures(strangers))
    shares = (sure * keep) / (sure * keep).sum()
    if keep.sum() == 1:
        return raw[keep][0], 1
    direction = F.normalize((directions * shares[:, None]).sum(0), dim=-1)
    return direction * (raw.norm(dim=-1) * shares).sum(), int(keep.sum())

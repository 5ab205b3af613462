"""How much faces resemble a person: the cosine similarity of face embeddings, the usual measure of identity.

1 is the same face; two strangers have about 0. Each recogniser has a scale of its own, so values from different face
packs are not comparable.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .analysis import check_part, embed_faces, find_face, find_recogniser
from .errors import no_face_in_picture
from .person import PersonFace, recogniser_name
from .pictures import each_picture


@dataclass(frozen=True)
class BatchSimilarity:
    """Cosines, -1 to 1, of a batch's pictures with one person, in order; None for a picture without such a face."""

    cosines: list[float | None]

    @property
    def mean(self) -> float:
        """The mean over the batch, in which a picture without such a face counts as 0."""
        return sum(value or 0.0 for value in self.cosines) / len(self.cosines)

    @property
    def labels(self) -> list[str]:
        """A few words for each picture."""
        return ["no face, counts as 0" if value is None else f"{value:.3f}" for value in self.cosines]

    @property
    def report(self) -> str:
        """The mean and each picture, a line each."""
        lines = [f"picture {number}: {label}" for number, label in enumerate(self.labels)]
        return "\n".join([f"similarity {self.mean:.3f}, mean of {len(self.cosines)}", *lines])


def person_direction(embeddings: Tensor) -> Tensor:
    """What several pictures of one person have in common: the mean of their normalised embeddings, normalised, (512,).

    embeddings: (M, 512), raw. Each picture has the same weight, however large the norm of its embedding is.
    """
    return F.normalize(F.normalize(embeddings, dim=-1).mean(dim=0), dim=-1)


def embed_person(face_analysis, images: Tensor, order: str = "large-small", index: int = 0) -> Tensor:
    """The direction of the person that reference pictures show, (512,): see `person_direction`.

    images: (N, H, W, C), RGB in 0..1; those without a face are left out, with a warning. order, index: which face of a
    picture counts, see FACE_ORDERS. Raises ValueError, naming the input reference, if no picture shows a face, and
    naming face_analysis if it has no recogniser.
    """
    find_recogniser(face_analysis)
    return person_direction(embed_faces(face_analysis, images, order, index, "reference")[1])


def saved_person(face_analysis, face: PersonFace) -> Tensor:
    """The direction, (512,), of a person who was read before, by the recogniser of a face_analysis.

    Raises ValueError, naming the input face, if the person was not read with that recogniser.
    """
    recogniser = recogniser_name(face_analysis)
    if recogniser not in face.embeddings:
        raise ValueError(
            f"face: it was read with {', '.join(face.embeddings)}, and face_analysis compares by {recogniser}. Load "
            "the pack that it was read with, or read the person again with this one."
        )
    return F.normalize(face.embeddings[recogniser], dim=-1)


def similarity(
    face_analysis, picture: Tensor, person: Tensor, order: str = "large-small", index: int = 0
) -> float | None:
    """The cosine, -1 to 1, of one face of a picture and a person; None if the picture shows no such face.

    picture: (H, W, C), RGB in 0..1. person: (512,), as `embed_person` gives it. order, index: see FACE_ORDERS.
    """
    face = find_face(face_analysis, picture, order, index)
    if face is None:
        return None
    check_part(face, "embedding", axes=1)
    return F.cosine_similarity(torch.as_tensor(face.embedding).to(person), person, dim=0).item()


def batch_similarity(
    face_analysis,
    images: Tensor,
    person: Tensor,
    order: str = "large-small",
    index: int = 0,
    no_face: str = "error",
) -> BatchSimilarity:
    """`similarity` of each picture of a batch, (N, H, W, C), RGB in 0..1.

    no_face: "error" raises ValueError, naming the input image, for a picture that shows no such face; "pass_through"
    counts it as 0.
    """
    cosines = []
    for number, picture in each_picture(images):
        value = similarity(face_analysis, picture, person, order, index)
        if value is None and no_face == "error":
            raise no_face_in_picture("image", number, "counts it as 0", index)
        cosines.append(value)
    return BatchSimilarity(cosines)

"""How like a person the faces of pictures are: the cosine between face embeddings, the usual measure of identity.

1 is the same face; two strangers come to about 0. Each recogniser has a scale of its own, so numbers of different face
packs do not compare.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .face_analysis import embed_faces, find_face, find_recogniser


def person_direction(embeddings: Tensor) -> Tensor:
    """What several pictures of one person have in common: the mean of their normed embeddings, normed, (512,).

    embeddings: (M, 512), raw. Each picture counts alike, however strong the recogniser's answer to it is.
    """
    return F.normalize(F.normalize(embeddings, dim=-1).mean(dim=0), dim=-1)


def embed_person(face_analysis, images: Tensor, order: str = "large-small", index: int = 0) -> Tensor:
    """The direction of the person that reference pictures show, (512,): see `person_direction`.

    images: (N, H, W, C), RGB in 0..1; those without a face are left out, with a warning. order, index: which face of a
    picture counts, see FACE_ORDERS. Raises ValueError, naming the input reference, where no picture shows a face, and
    naming face_analysis where it has no recogniser.
    """
    find_recogniser(face_analysis)
    return person_direction(embed_faces(face_analysis, images, order, index, "reference")[1])


def similarity(
    face_analysis, picture: Tensor, person: Tensor, order: str = "large-small", index: int = 0
) -> float | None:
    """The cosine, -1 to 1, between one face of a picture and a person; None where the picture shows no such face.

    picture: (H, W, C), RGB in 0..1. person: (512,), as `embed_person` gives it. order, index: see FACE_ORDERS.
    """
    face = find_face(face_analysis, picture, order, index)
    if face is None:
        return None
    return F.cosine_similarity(torch.as_tensor(face.embedding).to(person), person, dim=0).item()

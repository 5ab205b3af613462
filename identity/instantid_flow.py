"""InstantID's forward flow: a person's face in a MODEL's attention and, with IdentityNet, in its CONDITIONINGs."""

from dataclasses import dataclass

import torch

from ..faces.analysis import ChosenFace, check_recogniser, embed_faces, find_face
from ..faces.errors import no_face_in_any
from ..faces.keypoints import keypoints_of
from ..faces.person import PersonFace
from ..faces.pictures import each_picture
from .checks import check_sdxl
from .identity_net import check_identity_net, put_identity_net
from .instantid import InstantID, encode_faces
from .instantid_attention import Face, add_decoupled_attention, face_key, put_face


@dataclass(frozen=True)
class Influence:
    """How strongly and when one of InstantID's two parts acts. strength: 0 is not at all.

    start_percent, end_percent: fractions of sampling, 0 to 1, named as in the host.
    """

    strength: float
    start_percent: float = 0.0
    end_percent: float = 1.0


@dataclass(frozen=True)
class Person:
    """Who: raw face embeddings, (M, 512). Where the face goes: keypoints, key-point pictures, (N, h, w, 3), 0 to 1."""

    embeddings: torch.Tensor
    keypoints: torch.Tensor


def check_instantid(model, instantid: InstantID, control_net) -> None:
    """Raise ValueError, naming the input, unless these can work together: SDXL and IdentityNet."""
    check_sdxl(model, "InstantID")
    check_identity_net(control_net, model, instantid.token_width)


def person_shown(
    face_analysis,
    references: torch.Tensor | None,
    reference: ChosenFace,
    keypoints_image: torch.Tensor | None,
    keypoints: ChosenFace,
    face: PersonFace | None = None,
) -> Person:
    """Who the person is, and where the face goes.

    face_analysis: a FACEANALYSIS of antelopev2; with a face, of any pack. references: (R, H, W, C), RGB in 0..1, of one
    person; pictures without a face are left out. keypoints_image: (N, H, W, C), pictures with a face, or key-point
    pictures; None for the first reference picture that shows a face. face: says who in place of the references.
    Raises ValueError, naming the input, if neither is there, no reference shows a face, or a picture of keypoints_image
    does not.
    """
    if references is None and face is None:
        raise ValueError(
            "reference_images: is not connected, and neither is face. Connect pictures of the person, or a face."
        )
    if references is None and keypoints_image is None:
        raise ValueError(
            "keypoints_image: is not connected, and a face does not tell where it goes. Connect a picture with a face "
            "there, a key-point picture, or reference_images."
        )
    if face is None:
        check_recogniser(face_analysis, "antelopev2", "InstantID")
        shown, embeddings = embed_faces(face_analysis, references, reference.order, reference.index)
    else:
        embeddings = face.embedding("antelopev2", "InstantID")[None]
        shown = [] if keypoints_image is not None else [_first_shown(face_analysis, references, reference)]
    if keypoints_image is None:
        name, pictures, chosen = "reference_images", references[shown[:1]], reference
    else:
        name, pictures, chosen = "keypoints_image", keypoints_image, keypoints
    return Person(embeddings, keypoints_of(name, pictures, face_analysis, chosen.order, chosen.index))


def _first_shown(face_analysis, references: torch.Tensor, reference: ChosenFace) -> int:
    """The number of the first reference picture that shows the face."""
    for number, picture in each_picture(references):
        if find_face(face_analysis, picture, reference.order, reference.index):
            return number
    raise no_face_in_any("reference_images", len(references), reference.index)


def personalise(
    model,
    conditionings: tuple[list, list],
    instantid: InstantID,
    control_net,
    person: Person,
    attention: Influence,
    control: Influence,
    mask: torch.Tensor | None = None,
) -> tuple:
    """A MODEL and its positive and negative CONDITIONING with a person's face; none that came in is changed.

    conditionings: positive and negative; the negative one gets an all-zero face embedding. attention, control: of the
    face attention and of IdentityNet; if both have strength 0, what came in is returned. mask: where the face
    attention acts, (M, H, W), 0 to 1, or None for everywhere.
    """
    if attention.strength == 0 and control.strength == 0:
        return model, *conditionings
    patched = add_decoupled_attention(model, instantid.widths)
    settings = attention.strength, attention.start_percent, attention.end_percent, mask
    faces = [Face(*encoded, *settings) for encoded in encode_faces(instantid, person.embeddings)]
    key = face_key()
    conditionings = [put_face(*each, key) for each in zip(conditionings, faces, strict=True)]
    if control.strength != 0:
        percents = control.start_percent, control.end_percent
        conditionings = put_identity_net(conditionings, control_net, person.keypoints, control.strength, percents, key)
    return patched, *conditionings

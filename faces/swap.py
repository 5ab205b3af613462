"""Face swap: a face in a picture redrawn with another person's identity, restored if wanted, and pasted back."""

import logging
from dataclasses import dataclass

import numpy as np
import torch

from .alignment import arcface_matrix, ffhq_matrix, inverted, warped
from .analysis import check_recogniser, detect_faces, embedding_of, find_faces, sort_faces, to_bgr
from .choosing import Wanted, parse_indices, pick_faces
from .errors import cannot_load, no_face_in_any, no_face_in_picture, served, which_pictures
from .insightface_files import find_face_swapper
from .onnx_runtime import choose_providers, open_session
from .onnx_signature import read_signature
from .pasting import Pasting, match_colours, paste, paste_mask
from .person import PersonFace, mean_embedding
from .pictures import each_picture
from .restorers import SIDE as RESTORED_SIDE
from .restorers import FaceRestorer
from .swappers import FAMILIES, FaceSwapper
from .tracking import Tracks


@dataclass(frozen=True)
class Retouch:
    """What happens to a drawn face before it comes back into the picture.

    pasting: where and how softly. restorer: None leaves the face as it was drawn. restored: how much of the restorer's
    picture is taken, 0 to 1.
    """

    pasting: Pasting = Pasting()
    restorer: FaceRestorer | None = None
    restored: float = 0.5


@dataclass(frozen=True)
class References:
    """Whose faces come into a batch.

    identities: normalised embeddings, (512,) each; one for all faces, or one for each, in order. text: the input
    reference_faces, for messages.
    """

    identities: list[np.ndarray]
    text: str = "0"


def load_face_swapper(model_name: str, provider: str = "auto") -> FaceSwapper:
    """Load a face swapper from disk; nothing is ever downloaded.

    model_name: a name of `face_swappers()`. provider: one of PROVIDER_CHOICES. Raises FileNotFoundError for an absent
    file, ImportError for an absent package, ValueError for a file that is damaged or of no family that is served.
    """
    path = find_face_swapper(model_name)
    remedy = "Download it again and put it there."
    try:
        signature = read_signature(path)
    except ValueError as error:
        raise cannot_load("model_name", str(path), error, remedy) from error
    family, side = next(((family, side) for family in FAMILIES if (side := family.fits(signature))), (None, 0))
    if family is None:
        kinds = [f"{each.title} ({each.licence})" for each in FAMILIES]
        raise ValueError(
            f"model_name: {path} is an ONNX file, but not a face swapper that is served: it leads {signature}. "
            f"{served(kinds)}"
        )
    providers = choose_providers(provider)
    try:
        return family(path, open_session(path, providers), side)
    except ImportError:
        raise
    except Exception as error:  # damaged files raise many types
        raise cannot_load("model_name", str(path), error, remedy) from error


def read_references(face_analysis, reference: torch.Tensor, faces: str, order: str, pictures: str) -> References:
    """Whose faces a reference batch shows, (N, H, W, C), RGB in 0..1.

    faces: indices, see `parse_indices`, counted in `order` of FACE_ORDERS. pictures: "first", the first picture that
    shows a face; "mean", all of them. Raises ValueError, naming the input, where there is no such face.
    """
    indices = parse_indices("reference_faces", faces)
    if pictures == "mean":
        found = [find_faces(face_analysis, reference, order, index, "reference") for index in indices]
        return References([normalised(mean_embedding(each, "reference")[0]) for each in found], faces)
    found = sort_faces(_first_faces(face_analysis, reference), order)
    return References(
        [normalised(embedding_of(each)) for each in pick_faces("reference_faces", "reference", found, indices)], faces
    )


def chosen_references(
    face_analysis, face: PersonFace | None, reference: torch.Tensor | None, faces: str, order: str, pictures: str
) -> References:
    """Whose faces come into a batch: a face's, or those of `read_references`. Raises ValueError if neither is given."""
    if face is not None:
        return References([normalised(face.embedding("buffalo_l", "the face swapper"))])
    if reference is None:
        raise ValueError("reference: is not connected, and neither is face. Connect pictures of the person, or a face.")
    return read_references(face_analysis, reference, faces, order, pictures)


def nearest_person(face_analysis, pictures: torch.Tensor) -> torch.Tensor:
    """The raw embedding, (512,), of the person that pictures, (N, H, W, C), show: their largest faces' mean."""
    return mean_embedding(find_faces(face_analysis, pictures, "large-small", 0, "person"), "person")[0]


def normalised(embedding: torch.Tensor) -> np.ndarray:
    """A raw embedding, (512,), with length 1, as InsightFace's Face has it."""
    raw = embedding.numpy()
    return raw / np.linalg.norm(raw)


def swap_batch(
    images: torch.Tensor,
    references: References,
    face_analysis,
    face_swapper: FaceSwapper,
    wanted: Wanted,
    retouch: Retouch,
    paste_masks: torch.Tensor | None = None,
    follow: bool = False,
    no_face: str = "error",
) -> tuple[torch.Tensor, torch.Tensor]:
    """`swap_faces` for a batch of pictures, (N, H, W, C), RGB in 0..1.

    face_analysis: a FACEANALYSIS of buffalo_l. wanted: which faces of each picture. paste_masks: (N or 1, H, W), what
    Pasting's "mask" takes. follow: keep the numbers of the faces over the pictures, frames of a video, by person.
    no_face: "pass_through" swaps what a picture has, which may be nothing, and one warning names the pictures in which
    something was missing. Returns the new pictures and the masks, (N, H, W), one for each of images.
    Raises ValueError, naming the input, where faces are missing or the indices do not fit.
    """
    check_recogniser(face_analysis, "buffalo_l", "the face swapper")
    identities = references.identities
    if wanted.indices and len(identities) not in (1, len(wanted.indices)):
        raise ValueError(
            f"reference_faces: {len(identities)} indices for {len(wanted.indices)} in target_faces. "
            "Give one for all, or one for each."
        )
    tracks = Tracks(wanted.order) if follow else None
    swapped, masks = images.clone(), torch.zeros(images.shape[:3], device=images.device)
    without_face, without_source = [], []
    for number, picture in each_picture(images):
        counted = wanted.of(detect_faces(face_analysis, picture))
        counted = tracks.follow(counted) if tracks else counted
        numbers = wanted.numbers(counted)
        sources = identities * len(numbers) if len(identities) == 1 else identities
        if no_face == "error":
            _check_faces(number, counted, numbers, sources, wanted)
        found = [counted[index] if index < len(counted) else None for index in numbers]
        pairs = [(face, source) for face, source in zip(found, sources, strict=False) if face is not None]
        if not found or None in found:
            without_face.append(number)
        elif len(pairs) < len(found):
            without_source.append(number)
        if pairs:
            given = None if paste_masks is None else paste_masks[min(number, len(paste_masks) - 1)]
            swapped[number], masks[number] = swap_faces(
                picture, *zip(*pairs, strict=True), face_swapper, retouch, given
            )
    if without_face:
        logging.warning(
            "target_faces: %s of image did not show all that are wanted. The faces found were swapped.",
            which_pictures(without_face),
        )
    if without_source:
        logging.warning(
            "reference_faces: %r, which are fewer than the faces in %s of image. The other faces were left unchanged.",
            references.text, which_pictures(without_source),
        )  # fmt: skip
    return swapped, masks


def _check_faces(number: int, counted: list, numbers: list[int], sources: list, wanted: Wanted) -> None:
    """Raise ValueError unless picture `number` shows every wanted face and each of them has a source."""
    passing = "or set no_face to pass_through, which swaps the faces that are there"
    if not counted and wanted.person is not None:
        raise ValueError(
            f"person: nobody in picture {number} of image is like them (cosine {wanted.likeness:g} or more). Lower "
            f"person_likeness, {passing}."
        )
    if not counted:
        raise no_face_in_picture("image", number, "leaves it unchanged")
    where = f"picture {number} of image"
    if None in pick_faces("target_faces", where, counted, numbers, passing):
        raise ValueError(f"target_faces: a person of earlier frames is not in {where}. Choose others, {passing}.")
    if len(sources) < len(numbers):
        raise ValueError(
            f"reference_faces: {len(sources)} indices for the {len(numbers)} faces in {where}. Give "
            "one for all, or one for each, or set no_face to pass_through, which leaves the other faces unchanged."
        )


def _first_faces(face_analysis, reference: torch.Tensor) -> list:
    """The faces of the first picture that shows any."""
    for _, picture in each_picture(reference):
        if faces := detect_faces(face_analysis, picture):
            return faces
    raise no_face_in_any("reference", len(reference))


def swap_faces(
    picture: torch.Tensor,
    targets: list,
    identities: list[np.ndarray],
    swapper: FaceSwapper,
    retouch: Retouch = Retouch(),
    given: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give each target face of one picture another identity, one after the other.

    picture: (H, W, C), RGB in 0..1; any further channels stay. targets: Faces found in it. identities: as many
    normalised embeddings, (512,). given: the mask, (H, W) in 0..1, that Pasting's "mask" takes.
    Returns the new picture and a mask (H, W): how much of each pixel was replaced, 0 (untouched) to 1.
    """
    swapped = picture.clone()
    kept = torch.ones(picture.shape[:2], device=picture.device)
    given = None if given is None else given.float().cpu().numpy()
    for target, identity in zip(targets, identities, strict=True):
        pasted, mask = _swap_face(swapped, target, identity, swapper, retouch, given)
        swapped[..., :3] = torch.from_numpy(pasted)
        kept *= 1 - torch.from_numpy(mask).to(kept)
    return swapped, 1 - kept


def _swap_face(
    picture: torch.Tensor,
    target,
    identity: np.ndarray,
    swapper: FaceSwapper,
    retouch: Retouch,
    given: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    height, width = picture.shape[:2]
    side, pasting = swapper.side, retouch.pasting
    matrix = arcface_matrix(target.kps, side)
    crop = warped(to_bgr(picture), matrix, side, side)
    drawn, own_mask = swapper.draw(crop, identity)
    mask = paste_mask(pasting, target, matrix, side, height, width, given)
    if own_mask is not None:
        mask = mask * warped(own_mask, inverted(matrix), width, height)
    if pasting.colours == "Lab":
        drawn = match_colours(drawn, crop[..., ::-1] / np.float32(255), warped(mask, matrix, side, side))
    before = picture[..., :3].float().cpu().numpy()
    pasted = paste(before, drawn, matrix, mask)
    if retouch.restorer is not None and retouch.restored:
        pasted = _restored(pasted, target, mask, retouch)
    return pasted, mask


def _restored(pasted: np.ndarray, target, mask: np.ndarray, retouch: Retouch) -> np.ndarray:
    """A picture with what the restorer changes in a face, within the mask; outside it every pixel keeps all its bits."""
    height, width = pasted.shape[:2]
    matrix = ffhq_matrix(target.kps, RESTORED_SIDE)
    seen = warped(pasted, matrix, RESTORED_SIDE, RESTORED_SIDE)
    change = warped(retouch.restorer.restore(seen) - seen, inverted(matrix), width, height)
    return np.where(mask[..., None] > 0, (pasted + retouch.restored * mask[..., None] * change).clip(0, 1), pasted)

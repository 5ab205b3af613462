"""Face swap: a face in a picture redrawn with another person's identity, restored if wanted, and pasted back."""

import logging
from dataclasses import dataclass, field

import numpy as np
import torch

from .alignment import arcface_matrix, ffhq_matrix, inverted, warped
from .analysis import to_bgr
from .choosing import Wanted, each_wanted
from .errors import which_pictures
from .pasting import Pasting, crop_part, fitted_masks, match_colours, part_of, paste, paste_mask
from .references import References
from .restorers import SIDE as RESTORED_SIDE
from .restorers import FaceRestorer
from .swappers import FaceSwapper


@dataclass(frozen=True)
class Retouch:
    """What happens to a drawn face before it comes back into the picture.

    pasting: where and how softly. restorer: None leaves the face as it was drawn. restored: how much of the restorer's
    picture is taken, 0 to 1.
    """

    pasting: Pasting = field(default_factory=Pasting)
    restorer: FaceRestorer | None = None
    restored: float = 0.5


def swap_batch(
    images: torch.Tensor,
    references: References,
    face_analysis,
    face_swapper: FaceSwapper,
    wanted: Wanted,
    retouch: Retouch,
    paste_masks: torch.Tensor | None = None,
    no_face: str = "error",
) -> tuple[torch.Tensor, torch.Tensor]:
    """`swap_faces` for a batch of pictures, (N, H, W, C), RGB in 0..1.

    face_analysis: a FACEANALYSIS. wanted: which faces of each picture. paste_masks: what Pasting's "mask"
    takes, see `fitted_masks`. no_face: "pass_through" swaps what a picture has, which may be nothing, and one warning
    names the pictures in which something was missing. Returns the new pictures and the masks, (N, H, W), one for each
    of images. Raises ValueError, naming the input, where faces are missing or the inputs do not fit.
    """
    identities = references.identities
    if wanted.indices and len(identities) not in (1, len(wanted.indices)):
        raise ValueError(
            f"reference_faces: {len(identities)} indices for {len(wanted.indices)} in target_faces. "
            "Give one for all, or one for each."
        )
    given = fitted_masks(retouch.pasting.where, paste_masks, images)
    swapped, masks = images.clone(), torch.zeros(images.shape[:3], device=images.device)
    without_source = []
    leaves, done = "leaves it unchanged", "The faces found were swapped."
    for number, picture, faces in each_wanted(face_analysis, images, wanted, no_face, leaves, done):
        sources = identities * len(faces) if len(identities) == 1 else identities
        if any(face is not None for face in faces[len(sources) :]):
            _check_sources(number, faces, sources, no_face)
            without_source.append(number)
        pairs = [(face, source) for face, source in zip(faces, sources, strict=False) if face is not None]
        if pairs:
            swapped[number], masks[number] = swap_faces(
                picture, *zip(*pairs, strict=True), face_swapper, retouch, given[number]
            )
    if without_source:
        logging.warning(
            "reference_faces: %r, which are fewer than the faces in %s of image. The other faces were left unchanged.",
            references.text, which_pictures(without_source),
        )  # fmt: skip
    return swapped, masks


def _check_sources(number: int, faces: list, sources: list, no_face: str) -> None:
    """Raise ValueError where no_face is "error": picture `number` has more faces than there are sources."""
    there = sum(face is not None for face in faces)
    if no_face == "error":
        raise ValueError(
            f"reference_faces: {len(sources)} indices for the {there} faces in picture {number} of image. Give "
            "one for all, or one for each, or set no_face to pass_through, which leaves the other faces unchanged."
        )


def swap_faces(
    picture: torch.Tensor,
    targets: list,
    identities: list[np.ndarray],
    swapper: FaceSwapper,
    retouch: Retouch = Retouch(),
    given: np.ndarray | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give each target face of one picture another identity, one after the other.

    picture: (H, W, C), RGB in 0..1; any further channels stay. targets: Faces found in it. identities: as many
    normalised embeddings, (512,). given: the mask, (H, W) in 0..1, that Pasting's "mask" takes.
    Returns the new picture and a mask (H, W): how much of each pixel was replaced, 0 (untouched) to 1.
    """
    swapped = picture.clone()
    kept = torch.ones(picture.shape[:2], device=picture.device)
    for target, identity in zip(targets, identities, strict=True):
        matrix = arcface_matrix(target.kps, swapper.side)
        part = part_of(retouch.pasting, matrix, swapper.side, *picture.shape[:2])
        if part is None:
            continue
        place = part.rows, part.columns
        crop = warped(to_bgr(swapped[place]), part.seen(matrix), swapper.side, swapper.side)
        drawn, own_mask = swapper.draw(crop, identity)
        mask = paste_mask(
            retouch.pasting, target, part.seen(matrix), swapper.side, part, None if given is None else given[place]
        )
        if own_mask is not None:
            mask = mask * warped(own_mask, inverted(part.seen(matrix)), *mask.shape[::-1])
        mask[mask < np.finfo(np.float32).eps] = 0  # what 1 - mask rounds away must not change a bit
        if retouch.pasting.colours == "Lab":
            weights = warped(mask, part.seen(matrix), swapper.side, swapper.side)
            drawn = match_colours(drawn, crop[..., ::-1] / np.float32(255), weights)
        pasted = paste(swapped[place][..., :3].float().cpu().numpy(), drawn, part.seen(matrix), mask)
        swapped[place][..., :3] = torch.from_numpy(pasted)
        if retouch.restorer is not None and retouch.restored:
            swapped[place][..., :3] = torch.from_numpy(_restored(swapped, pasted, target, mask, part, retouch))
        kept[place] *= 1 - torch.from_numpy(mask).to(kept)
    return swapped, 1 - kept


def _restored(picture: torch.Tensor, pasted: np.ndarray, target, mask: np.ndarray, part, retouch: Retouch):
    """A part of a picture with what the restorer changes in a face, within the mask.

    picture: the whole one, with the face pasted. pasted: the part of it, (H, W, 3). Outside the mask every pixel keeps
    all its bits.
    """
    matrix = ffhq_matrix(target.kps, RESTORED_SIDE)
    around = crop_part(matrix, RESTORED_SIDE, *picture.shape[:2])
    if around is None:
        return pasted
    surroundings = picture[around.rows, around.columns, :3].float().cpu().numpy()
    seen = warped(surroundings, around.seen(matrix), RESTORED_SIDE, RESTORED_SIDE)
    change = retouch.restorer.restore(seen) - seen
    change = warped(change, inverted(part.seen(matrix)), *mask.shape[::-1])
    return np.where(mask[..., None] > 0, (pasted + retouch.restored * mask[..., None] * change).clip(0, 1), pasted)

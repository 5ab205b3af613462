"""How a redrawn face comes back into its picture: where it replaces pixels, how softly, and in which colours."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .alignment import inverted, warped
from .onnx_runtime import face_package
from .outline import face_outline, face_side, inner_ramp, inside_of, ramp

BOX, FACE, MASK = WHERE = ("box", "face", "mask")
COLOURS = ("off", "Lab")
EDGE = 0.04  # of a crop's side that is not pasted, except by the box: networks draw badly there


@dataclass(frozen=True)
class Pasting:
    """where: "box", InsightFace's recipe; "face", the face's own outline; "mask", a mask that is given.

    feather: width of the soft border, as a share of the face's size: around the face's outline, and half as wide inside
    a mask; the box has its own. colours: "Lab" gives the new face mean and deviation of the pixels that it replaces.
    """

    where: str = FACE
    feather: float = 0.4
    colours: str = "off"


@dataclass(frozen=True)
class Part:
    """The part of a picture in which a face is pasted: rows and columns, and its top left corner, x and y."""

    rows: slice
    columns: slice

    @property
    def corner(self) -> tuple[int, int]:
        return self.columns.start, self.rows.start

    def seen(self, matrix: np.ndarray) -> np.ndarray:
        """A matrix (2, 3) from the whole picture to a crop, as it is from this part."""
        return np.hstack([matrix[:, :2], matrix @ [[self.corner[0]], [self.corner[1]], [1]]])


def part_of(pasting: Pasting, matrix: np.ndarray, side: int, height: int, width: int) -> Part | None:
    """Where a face is pasted: `crop_part`, or for the box the whole picture, as InsightFace has it.

    In a part, warps round to other parts of a pixel.
    """
    return Part(slice(0, height), slice(0, width)) if pasting.where == BOX else crop_part(matrix, side, height, width)


def crop_part(matrix: np.ndarray, side: int, height: int, width: int) -> Part | None:
    """Where a crop of this side lies in a picture, None if outside of it. matrix: (2, 3), from picture to crop."""
    corners = inverted(matrix) @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    (left, top), (right, bottom) = np.floor(corners.min(1)) - 1, np.ceil(corners.max(1)) + 2
    rows, columns = slice(max(int(top), 0), min(int(bottom), height)), slice(max(int(left), 0), min(int(right), width))
    return Part(rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def paste(picture: np.ndarray, drawn: np.ndarray, matrix: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blend an aligned face (S, S, 3) into a picture (H, W, 3) by a mask (H, W) in 0..1; all are float32.

    matrix (2, 3) maps the picture to the crop. Every pixel outside the mask keeps all its bits.
    """
    height, width = picture.shape[:2]
    face = warped(drawn, inverted(matrix), width, height)
    return mask[..., None] * face + (1 - mask[..., None]) * picture


def paste_mask(
    pasting: Pasting, face, matrix: np.ndarray, side: int, part: Part, given: np.ndarray | None = None
) -> np.ndarray:
    """How much of each pixel of a part a face replaces, (H, W) float32 in 0..1.

    face: the Face that is replaced. matrix: from the part to its crop of this side. given: the part's mask, (H, W) in
    0..1, for "mask".
    """
    height, width = part.rows.stop - part.rows.start, part.columns.stop - part.columns.start
    to_picture = inverted(matrix)
    if pasting.where == BOX:
        return soft_box(warped(np.ones((side, side), np.float32), to_picture, width, height))
    edge = max(round(EDGE * side), 1)
    inside = np.zeros((side, side), np.float32)
    inside[2 * edge : -2 * edge, 2 * edge : -2 * edge] = 1
    footprint = warped(face_package("cv2").blur(inside, (2 * edge + 1,) * 2), to_picture, width, height)
    feather = pasting.feather * face_side(face)
    if pasting.where == MASK:
        return footprint * given * inner_ramp(given > 0, feather / 2)
    return footprint * ramp(inside_of(face_outline(face) - part.corner, height, width), feather)


def soft_box(coverage: np.ndarray) -> np.ndarray:
    """The crop's footprint (H, W) in 0..1, shrunk from its edge and softened: InsightFace's recipe for pasting.

    A tenth of the footprint's size is eroded (its border shows little of the face), a twentieth is the blur's radius.
    """
    cv2 = face_package("cv2")

    inside = (coverage > 20 / 255).astype(np.float32)
    rows, columns = np.nonzero(inside)
    if rows.size == 0:
        return inside
    size = int(np.sqrt(np.ptp(rows) * np.ptp(columns)))
    margin = max(size // 10, 10)
    blur = 2 * max(size // 20, 5) + 1
    eroded = cv2.erode(inside, np.ones((margin, margin), np.uint8))
    # The blur's weights do not sum to 1 exactly.
    return cv2.GaussianBlur(eroded, (blur, blur), 0).clip(0, 1)


def fitted_masks(where: str, masks: torch.Tensor | None, images: torch.Tensor) -> list[np.ndarray | None]:
    """The input paste_mask for each picture, (H, W) float32 in 0..1 at its size. None for all unless `where` is "mask".

    masks: (H, W) or (..., H, W), one for all pictures or one for each. images: (N, H, W, C). Raises ValueError, naming
    the input, where there is none, one that is empty, or another number.
    """
    if where != MASK:
        return [None] * len(images)
    if masks is None:
        raise ValueError("paste_mask: is not connected, and paste is mask. Connect one, or set paste to face.")
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).float().clamp(0, 1)
    if len(flat) not in (1, len(images)):
        raise ValueError(
            f"paste_mask: holds {len(flat)} masks for the {len(images)} pictures of image. Give one for all, or one "
            "for each."
        )
    if not flat.any():
        raise ValueError(
            "paste_mask: is 0 everywhere, so nothing of the new face would be pasted. Paint where it goes, or set "
            "paste to face."
        )
    size = images.shape[1:3]
    fitted = flat if flat.shape[-2:] == size else F.interpolate(flat, size, mode="bilinear", antialias=True).clamp(0, 1)
    return list(fitted[:, 0].expand(len(images), -1, -1).cpu().numpy())


def match_colours(drawn: np.ndarray, before: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A drawn crop with mean and deviation, in Lab, of the crop that it replaces; (S, S, 3), RGB float32 in 0..1.

    weights: (S, S), how much of each pixel is replaced. Where nothing is, nothing changes.
    """
    cv2 = face_package("cv2")

    if weights.sum() < 1:
        return drawn
    new, old = (cv2.cvtColor(np.ascontiguousarray(each, np.float32), cv2.COLOR_RGB2LAB) for each in (drawn, before))
    (new_mean, new_spread), (old_mean, old_spread) = (_spread(each, weights) for each in (new, old))
    matched = (new - new_mean) * (old_spread / np.maximum(new_spread, 1e-3)) + old_mean
    return cv2.cvtColor(matched.astype(np.float32), cv2.COLOR_LAB2RGB).clip(0, 1)


def _spread(picture: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.average(picture.reshape(-1, 3), axis=0, weights=weights.ravel())
    return mean, np.sqrt(np.average((picture.reshape(-1, 3) - mean) ** 2, axis=0, weights=weights.ravel()))

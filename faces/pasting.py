"""How a redrawn face comes back into its picture: where it replaces pixels, how softly, and in which colours."""

from dataclasses import dataclass

import numpy as np

from .alignment import inverted, warped
from .onnx_runtime import face_package
from .outline import face_outline, face_side, filled, soften

WHERE = ("box", "face", "mask")
COLOURS = ("off", "Lab")
EDGE = 0.04  # of a crop's side that is never pasted, except by the box: networks draw badly there


@dataclass(frozen=True)
class Pasting:
    """where: "box", InsightFace's recipe; "face", the face's own outline; "mask", a mask that is given.

    feather: width of the soft border, as a share of the face's size; the box has its own. colours: "Lab" gives the new
    face mean and deviation of the pixels that it replaces.
    """

    where: str = "box"
    feather: float = 0.1
    colours: str = "off"


def paste(picture: np.ndarray, drawn: np.ndarray, matrix: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blend an aligned face (S, S, 3) into a picture (H, W, 3) by a mask (H, W) in 0..1; all are float32.

    matrix (2, 3) maps the picture to the crop. Every pixel outside the mask keeps all its bits.
    """
    height, width = picture.shape[:2]
    face = warped(drawn, inverted(matrix), width, height)
    return mask[..., None] * face + (1 - mask[..., None]) * picture


def paste_mask(
    pasting: Pasting, face, matrix: np.ndarray, side: int, height: int, width: int, given: np.ndarray | None = None
) -> np.ndarray:
    """How much of each pixel a face replaces, (H, W) float32 in 0..1.

    face: the Face that is replaced. matrix: to its crop of this side. given: the mask, (H, W) in 0..1, that `mask` takes.
    """
    to_picture = inverted(matrix)
    if pasting.where == "box":
        return soft_box(warped(np.ones((side, side), np.float32), to_picture, width, height))
    edge = max(round(EDGE * side), 1)
    inside = np.zeros((side, side), np.float32)
    inside[2 * edge : -2 * edge, 2 * edge : -2 * edge] = 1
    footprint = warped(face_package("cv2").blur(inside, (2 * edge + 1,) * 2), to_picture, width, height)
    shape = given if pasting.where == "mask" else filled(face_outline(face), height, width)
    return footprint * soften(np.ascontiguousarray(shape, np.float32), pasting.feather * face_side(face))


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

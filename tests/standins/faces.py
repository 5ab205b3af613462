"""Constructed stand-ins for InsightFace's models: small ONNX files with the real names, inputs and outputs.

Nothing is trained, yet each does its job, through the real insightface package, on the pictures a fixture describes:

- The **detector** (SCRFD: nine outputs, three strides, two anchors) recognises a picture by its brightness on an 8 by 8
  grid and reports the faces the fixture says are in it. It knows a picture again at any size and after small changes,
  a swapped face included. One fixture picture may be the catch-all for every other picture. A picture without any
  structure along one of its axes (a plain colour) never has a face.
- The **recogniser** (112 by 112 to 512) sees the aligned crop at 12 by 14 pixels, takes out the mean colour, and turns
  the rest by a fixed rotation: other crops, other embeddings.
- The **swapper** undoes the recogniser's rotation and so draws the source's face, blurred to 12 by 14 pixels, in the
  target's mean colour over the target: the recogniser then finds the source in the swapped picture. That works only if
  every step before it (alignment, channel order, `emap`, normalisation) is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from standins.face_onnx import rotation_matrix, write_detector, write_recogniser, write_swapper


@dataclass(frozen=True)
class FixtureFace:
    """A face in a picture. box: left, top, right, bottom. points: eyes, nose, mouth corners, (x, y) each.

    All are fractions of the picture's longer side.
    """

    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class FixturePicture:
    """The faces of one picture. pixels: (H, W, 3) uint8 RGB, or None for every picture that is no other one."""

    pixels: np.ndarray | None
    faces: tuple[FixtureFace, ...]


# The five points of an upright face in a crop of 112 pixels (ArcFace's template), and the box around such a face.
TEMPLATE = ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2))
TEMPLATE_BOX = (20.0, 24.0, 92.0, 114.0)

# Measured on scikit-image's `astronaut`, 512 by 512 pixels.
ASTRONAUT_FACE = FixtureFace(
    box=tuple(value / 512 for value in (180, 68, 269, 179)),
    points=tuple((x / 512, y / 512) for x, y in ((203, 101.5), (246.5, 103.5), (227, 126), (204, 140.5), (244, 141))),
)


def upright_face(x: float, y: float, width: float) -> FixtureFace:
    """A face seen from the front, its box centred at (x, y) and this wide; fractions of the picture's longer side."""
    left, top, right, bottom = TEMPLATE_BOX
    scale = width / (right - left)

    def place(point_x, point_y):
        return x + (point_x - (left + right) / 2) * scale, y + (point_y - (top + bottom) / 2) * scale

    return FixtureFace((*place(left, top), *place(right, bottom)), tuple(place(*point) for point in TEMPLATE))


def random_picture(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of large soft patches of colour with a little grain, (height, width, 3) uint8."""
    random = np.random.default_rng(seed)
    patches = cv2.resize(random.uniform(30, 225, (6, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return (patches + random.normal(0, 4, patches.shape)).clip(0, 255).astype(np.uint8)


def as_image(pixels: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 as one picture of the host's IMAGE: float32 in 0..1."""
    return torch.from_numpy(pixels).float() / 255


def demo_pictures() -> list[FixturePicture]:
    """The demo's: scikit-image's astronaut; in any other picture one large face, in the middle of the upper half."""
    from skimage import data

    return [
        FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
        FixturePicture(None, (upright_face(0.5, 0.34, 0.32),)),
    ]


def make_face_models(models_dir: Path, pictures: Sequence[FixturePicture]) -> Path:
    """Write buffalo_l, antelopev2 and inswapper_128.onnx below models_dir/insightface and give that folder.

    The same pictures give the same files. 4 MB in all, in a fraction of a second.
    """
    folder = models_dir / "insightface"
    buffalo, antelope = folder / "models" / "buffalo_l", folder / "models" / "antelopev2"
    buffalo.mkdir(parents=True, exist_ok=True)
    antelope.mkdir(parents=True, exist_ok=True)
    known = [picture for picture in pictures if picture.pixels is not None]
    others = [picture for picture in pictures if picture.pixels is None] or [FixturePicture(None, ())]
    if len(others) > 1:
        raise ValueError("only one fixture picture may stand for every other picture")
    faces = _face_table([picture.faces for picture in (*known, *others)])
    for detector in (buffalo / "det_10g.onnx", antelope / "scrfd_10g_bnkps.onnx"):
        write_detector(detector, [picture.pixels for picture in known], faces)
    rotation = rotation_matrix(seed=1)
    write_recogniser(buffalo / "w600k_r50.onnx", rotation)
    write_recogniser(antelope / "glintr100.onnx", rotation_matrix(seed=2))
    write_swapper(folder / "inswapper_128.onnx", rotation)
    return folder


def _face_table(faces: list[tuple[FixtureFace, ...]]) -> np.ndarray:
    """(len(faces), F, 15): box, points and a 1 for every face, zeros in the rows that pad them to one length."""
    table = np.zeros((len(faces), max(1, *map(len, faces)), 15))
    for rows, listed in zip(table, faces, strict=True):
        for row, face in zip(rows, listed, strict=False):
            row[:] = [*face.box, *np.ravel(face.points), 1]
    return table

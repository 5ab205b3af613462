"""Pictures of no one, and a FACEANALYSIS for machines without OpenCV: it gives faces, and reads none."""

from types import SimpleNamespace

import numpy as np
import torch

# Eyes, nose, mouth corners, as fractions of the picture's sides.
POINTS = np.array([[0.41, 0.36], [0.59, 0.36], [0.5, 0.45], [0.43, 0.55], [0.57, 0.55]])
BOX = np.array([0.3, 0.2, 0.7, 0.65])
BLACK = 0.5
COLOURS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0))
SIDE, KEYPOINTS_SIDE, RADIUS = 512, 1280, 10


def person() -> torch.Tensor:
    """An IMAGE of large soft patches of colour: the stand-in for the face detector sees a face in any picture."""
    patches = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(patches, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    return large.clamp(0, 1).movedim(1, -1)


def key_points() -> torch.Tensor:
    """An IMAGE as IdentityNet reads it: a disc for each of the five points, on black."""
    places = torch.arange(KEYPOINTS_SIDE)
    picture = torch.zeros(1, KEYPOINTS_SIDE, KEYPOINTS_SIDE, 3)
    for (x, y), colour in zip(POINTS * KEYPOINTS_SIDE, COLOURS, strict=True):
        inside = (places - x)[None, :] ** 2 + (places - y)[:, None] ** 2 <= RADIUS**2
        picture[0, inside] = torch.tensor(colour)
    return picture


class GivenFaces:
    """One face in every picture that is not mostly black, as key-point pictures are; its embedding from a seed."""

    models = {"recognition": SimpleNamespace()}

    def get(self, bgr: np.ndarray) -> list:
        """The faces of one picture, (H, W, 3) uint8."""
        if (bgr.max(axis=2) < 10).mean() > BLACK:
            return []
        height, width = bgr.shape[:2]
        embedding = np.random.default_rng(0).normal(size=512).astype(np.float32)
        return [
            SimpleNamespace(
                bbox=BOX * ([width, height] * 2), kps=POINTS * [width, height], embedding=embedding, det_score=1
            )
        ]

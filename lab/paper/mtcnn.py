"""Faces by facenet-pytorch's MTCNN, whose weights come with the package."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from paper.pictures import digest, open_picture
from paper.weights import MissingError

CROP = 160  # pixels a side of what FaceNet sees
VERSION = f"MTCNN of facenet-pytorch, its defaults, largest face, {CROP} pixels"


@dataclass(frozen=True)
class Face:
    """box: (4,) pixels, left, top, right, bottom. points: (5, 2): eyes, nose, mouth corners. probability: 0 .. 1."""

    box: np.ndarray
    points: np.ndarray
    probability: float


class Detector:
    """Finds the largest face of a picture. Raises MissingError, naming `metric`, where the package is not installed."""

    def __init__(self, device: str = "cpu", metric: str = "Face Sim. and Scene Div."):
        try:
            from facenet_pytorch import MTCNN
        except ImportError as error:
            raise MissingError(
                f"{metric}: the package facenet-pytorch is not installed: pip install --no-deps facenet-pytorch"
            ) from error
        self._mtcnn = MTCNN(image_size=CROP, device=torch.device(device))
        self._known: dict[str, Face | None] = {}

    def largest(self, path: Path) -> Face | None:
        """The largest face, or None. Found once for each content of a file."""
        key = digest(path)
        if key not in self._known:
            self._known[key] = self.find(open_picture(path))
        return self._known[key]

    def find(self, picture: Image.Image) -> Face | None:
        """The largest face of an RGB picture, or None."""
        boxes, probabilities, points = self._mtcnn.detect(picture, landmarks=True)
        if boxes is None:
            return None
        return Face(boxes[0].astype(float), points[0].astype(float), float(probabilities[0]))

    def crop(self, picture: Image.Image, face: Face) -> Tensor:
        """The face as FaceNet takes it: (3, CROP, CROP), about -1 .. 1."""
        return self._mtcnn.extract(picture, face.box[None], None)

"""Face swappers: networks that redraw an aligned face as another person, told by what a file takes and gives.

A family more is a class more in FAMILIES.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from .known_files import FACEFUSION_LICENCE, INSIGHTFACE_LICENCE
from .onnx_runtime import face_package
from .onnx_signature import Signature

EMBEDDING = 512


class FaceSwapper(ABC):
    """A loaded swapper: a CE_FACE_SWAPPER.

    title, licence: of its family, in a few words. side: of its crops, in pixels.
    """

    title: ClassVar[str]
    licence: ClassVar[str]

    def __init__(self, path: Path, session, side: int):
        self.path, self.session, self.side = path, session, side

    @classmethod
    @abstractmethod
    def fits(cls, signature: Signature) -> int:
        """The side of the crops of a file of this family; 0 for another file."""

    @abstractmethod
    def draw(self, crop: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The face with another identity, and the mask of it that the file gives, if it does.

        crop: (S, S, 3), BGR uint8, aligned by ArcFace's template. identity: (512,), a normalised embedding of
        buffalo_l's recogniser. Returns (S, S, 3), RGB float32 in 0..1, and (S, S) float32 in 0..1 or None.
        """


class Inswapper(FaceSwapper):
    """InsightFace's inswapper_128 and its twin in half precision. Its last initializer maps embeddings to its own."""

    title = "inswapper"
    licence = INSIGHTFACE_LICENCE

    def __init__(self, path: Path, session, side: int):
        super().__init__(path, session, side)
        onnx = face_package("onnx")
        self.emap = onnx.numpy_helper.to_array(onnx.load(str(path)).graph.initializer[-1]).astype(np.float32)
        if self.emap.shape != (EMBEDDING, EMBEDDING):
            raise ValueError(f"its last initializer is {self.emap.shape}, but inswapper's map is (512, 512)")

    @classmethod
    def fits(cls, signature: Signature) -> int:
        target, source = signature.inputs.get("target", ()), signature.inputs.get("source", ())
        square = len(target) == 4 and target[1] == 3 and target[2] == target[3] and target[2]
        return target[2] if square and source[-1:] == (EMBEDDING,) and len(signature.outputs) == 1 else 0

    def draw(self, crop: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, None]:
        blob = face_package("cv2").dnn.blobFromImage(crop, 1 / 255, (self.side, self.side), (0, 0, 0), swapRB=True)
        source = identity.reshape(1, -1) @ self.emap
        (drawn,) = self.session.run(None, {"target": blob, "source": source / np.linalg.norm(source)})
        # As InsightFace does, in whole grey levels.
        return np.clip(255 * drawn[0].transpose(1, 2, 0), 0, 255).astype(np.uint8).astype(np.float32) / 255, None


class Hyperswap(FaceSwapper):
    """FaceFusion's hyperswap_1a, 1b and 1c, of 256 pixels, which draw a mask as well."""

    title = "hyperswap"
    licence = FACEFUSION_LICENCE

    @classmethod
    def fits(cls, signature: Signature) -> int:
        target, source = signature.inputs.get("target", ()), signature.inputs.get("source", ())
        square = len(target) == 4 and target[1] == 3 and target[2] == target[3] and target[2]
        return target[2] if square and source[-1:] == (EMBEDDING,) and len(signature.outputs) == 2 else 0

    def draw(self, crop: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        target = (crop[..., ::-1].astype(np.float32) / 255 - 0.5) / 0.5
        inputs = {"target": target.transpose(2, 0, 1)[None], "source": identity.reshape(1, -1).astype(np.float32)}
        drawn, mask = self.session.run(None, inputs)
        return np.clip(drawn[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1), np.clip(mask[0, 0], 0, 1)


FAMILIES = (Inswapper, Hyperswap)

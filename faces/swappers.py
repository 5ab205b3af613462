"""Face swappers: networks that redraw an aligned face as another person.

A family more is a class more in SWAPPER_FAMILIES.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from .errors import cannot_load
from .families import AGAIN, family_of
from .insightface_files import find_face_swapper
from .known_files import FACEFUSION_LICENCE, INSIGHTFACE_LICENCE
from .onnx_runtime import choose_providers, face_package
from .onnx_signature import Signature, matches
from .sessions import open_session, run

EMBEDDING = 512


class FaceSwapper(ABC):
    """A loaded swapper: a CE_FACE_SWAPPER.

    title, licence: of its family, in a few words. side: of the crops that its files take, in pixels. channels: of each
    picture that they give.
    """

    title: ClassVar[str]
    licence: ClassVar[str]
    side: ClassVar[int]
    channels: ClassVar[tuple[int, ...]]

    def __init__(self, path: Path, session):
        self.path, self.session = path, session

    @classmethod
    def fits(cls, signature: Signature) -> bool:
        """Whether a file is of this family: RGB pictures `target`, embeddings `source`, and its pictures come out."""
        target, source = signature.inputs.get("target", ()), signature.inputs.get("source", ())
        drawn = list(signature.outputs.values())
        return (
            target[1:] == (3, cls.side, cls.side)
            and source[1:] == (EMBEDDING,)
            and len(drawn) == len(cls.channels)
            and all(matches(shape, count, cls.side, cls.side) for shape, count in zip(drawn, cls.channels, strict=True))
        )

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
    side, channels = 128, (3,)

    def __init__(self, path: Path, session):
        super().__init__(path, session)
        onnx = face_package("onnx")
        weights = onnx.load(str(path)).graph.initializer
        self.emap = onnx.numpy_helper.to_array(weights[-1]).astype(np.float32) if weights else np.zeros(0)
        if self.emap.shape != (EMBEDDING, EMBEDDING):
            raise ValueError(f"its last initializer is of shape {self.emap.shape}, and inswapper's map is (512, 512)")

    def draw(self, crop: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, None]:
        target = face_package("cv2").dnn.blobFromImage(crop, 1 / 255, (self.side, self.side), (0, 0, 0), swapRB=True)
        source = identity.reshape(1, -1) @ self.emap
        (drawn,) = run(self.session, target=target, source=source / np.linalg.norm(source))
        # As InsightFace does, in whole grey levels.
        return np.clip(255 * drawn[0].transpose(1, 2, 0), 0, 255).astype(np.uint8).astype(np.float32) / 255, None


class Hyperswap(FaceSwapper):
    """FaceFusion's hyperswap_1a, 1b and 1c, of 256 pixels, which draw a mask as well."""

    title = "hyperswap"
    licence = FACEFUSION_LICENCE
    side, channels = 256, (3, 1)

    def draw(self, crop: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        target = (crop[..., ::-1].astype(np.float32) / 255 - 0.5) / 0.5
        drawn, mask = run(self.session, target=target.transpose(2, 0, 1)[None], source=identity.reshape(1, -1))
        return np.clip(drawn[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1), np.clip(mask[0, 0], 0, 1)


SWAPPER_FAMILIES = (Inswapper, Hyperswap)


def load_face_swapper(model_name: str, provider: str = "auto") -> FaceSwapper:
    """Load a face swapper from disk; nothing is ever downloaded.

    model_name: a name of `face_swappers()`. provider: one of PROVIDER_CHOICES. Raises FileNotFoundError for an absent
    file, ImportError for an absent package, ValueError for a file that is damaged or of no family that can be used.
    """
    path = find_face_swapper(model_name)
    family = family_of(path, SWAPPER_FAMILIES, "face swapper")
    session = open_session("model_name", path, choose_providers(provider), AGAIN)
    try:
        return family(path, session)
    except ImportError:
        raise
    except Exception as error:  # damaged files raise many types
        raise cannot_load("model_name", str(path), error, AGAIN) from error

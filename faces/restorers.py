"""Face restorers: networks that redraw a blurred face of 512 pixels sharply.

They were trained on FFHQ's crops. The stronger they act, the more of the likeness is lost.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .families import AGAIN, family_of
from .insightface_files import find_face_restorer
from .known_files import CODEFORMER_LICENCE, PLAIN_RESTORERS_LICENCE
from .onnx_runtime import choose_providers
from .onnx_signature import Signature, matches
from .sessions import open_session, run

SIDE = 512
PICTURE = (3, SIDE, SIDE)


@dataclass(frozen=True)
class RestorerFamily:
    """title, licence: in a few words. extras: what its files take beside the picture."""

    title: str
    licence: str
    extras: tuple[str, ...]

    def fits(self, signature: Signature) -> bool:
        """Whether a file is of this family: one picture of 512 pixels in and out, and the extras."""
        pictures = [name for name, shape in signature.inputs.items() if shape[1:] == PICTURE]
        others = tuple(name for name in signature.inputs if name not in pictures)
        drawn = next(iter(signature.outputs.values()), ())
        return len(pictures) == 1 and others == self.extras and matches(drawn, *PICTURE)


RESTORER_FAMILIES = (
    # These three take and give the same, so a file does not tell which of them it is.
    RestorerFamily("GFPGAN, RestoreFormer++ or GPEN", PLAIN_RESTORERS_LICENCE, ()),
    RestorerFamily("CodeFormer", CODEFORMER_LICENCE, ("weight",)),
)


class FaceRestorer:
    """A loaded restorer: a CE_FACE_RESTORER.

    weight: CodeFormer's, 0 (redrawn most) to 1 (kept most); others have none.
    """

    def __init__(self, path: Path, session, weight: float = 0.5):
        self.path, self.session, self.weight = path, session, weight

    def restore(self, crop: np.ndarray) -> np.ndarray:
        """The face drawn sharply. crop: (512, 512, 3), RGB float32 in 0..1, aligned by FFHQ's template; so is it."""
        picture = ((crop - 0.5) / 0.5).transpose(2, 0, 1)[None]
        given = {
            each.name: picture if len(each.shape) == 4 else np.full([1] * len(each.shape), self.weight)
            for each in self.session.get_inputs()
        }
        drawn = run(self.session, **given)[0]
        return np.clip(drawn[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1)


def load_face_restorer(model_name: str, weight: float = 0.5, provider: str = "auto") -> FaceRestorer:
    """Load a restorer from disk; nothing is ever downloaded.

    model_name: a name of `face_restorers()`. weight: see FaceRestorer. provider: one of PROVIDER_CHOICES. Raises
    FileNotFoundError for an absent file, ImportError for an absent package, ValueError for a file that is damaged or of
    no family that can be used.
    """
    path = find_face_restorer(model_name)
    family_of(path, RESTORER_FAMILIES, "face restorer")
    return FaceRestorer(path, open_session("model_name", path, choose_providers(provider), AGAIN), weight)

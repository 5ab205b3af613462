"""Face restorers: networks that redraw a blurred face of 512 pixels sharply, told by what a file takes and gives.

They were trained on FFHQ's crops. The stronger they act, the more of the likeness is lost.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import cannot_load, served
from .insightface_files import find_face_restorer
from .known_files import CODEFORMER_LICENCE, PLAIN_RESTORERS_LICENCE
from .onnx_runtime import choose_providers, open_session
from .onnx_signature import Signature, read_signature

SIDE = 512
PICTURE = (3, SIDE, SIDE)


@dataclass(frozen=True)
class RestorerKind:
    """A family of files. title, licence: in a few words. weighted: whether it takes a weight beside the picture."""

    title: str
    licence: str
    weighted: bool


# These three take and give the same, so a file does not tell which of them it is.
PLAIN = RestorerKind("GFPGAN, RestoreFormer++ or GPEN", PLAIN_RESTORERS_LICENCE, False)
CODEFORMER = RestorerKind("CodeFormer", CODEFORMER_LICENCE, True)


def restorer_kind(signature: Signature) -> RestorerKind | None:
    """Which family a file is of; None for another file."""
    pictures = [shape for shape in signature.inputs.values() if shape[1:] == PICTURE]
    others = [shape for shape in signature.inputs.values() if shape[1:] != PICTURE]
    if len(pictures) != 1 or next(iter(signature.outputs.values()), ())[1:] != PICTURE:
        return None
    if not others:
        return PLAIN
    return CODEFORMER if list(signature.inputs)[1:] == ["weight"] and others[0] in ((), (1,), (None,)) else None


class FaceRestorer:
    """A loaded restorer: a CE_FACE_RESTORER.

    weight: CodeFormer's, 0 (redrawn most) to 1 (kept most); others have none.
    """

    def __init__(self, path: Path, session, kind: RestorerKind, weight: float = 0.5):
        self.path, self.session, self.kind, self.weight = path, session, kind, weight

    def restore(self, crop: np.ndarray) -> np.ndarray:
        """The face drawn sharply. crop: (512, 512, 3), RGB float32 in 0..1, aligned by FFHQ's template; so is it."""
        picture, *weight = self.session.get_inputs()
        inputs = {picture.name: ((crop - 0.5) / 0.5).transpose(2, 0, 1)[None].astype(np.float32)}
        if weight:
            kind = np.float64 if "double" in weight[0].type else np.float32
            inputs[weight[0].name] = np.full([1] * len(weight[0].shape), self.weight, kind)
        drawn = self.session.run(None, inputs)[0]
        return np.clip(drawn[0].transpose(1, 2, 0) / 2 + 0.5, 0, 1).astype(np.float32)


def load_face_restorer(model_name: str, weight: float = 0.5, provider: str = "auto") -> FaceRestorer:
    """Load a restorer from disk; nothing is ever downloaded.

    model_name: a name of `face_restorers()`. weight: see FaceRestorer. provider: one of PROVIDER_CHOICES. Raises
    FileNotFoundError for an absent file, ImportError for an absent package, ValueError for a file that is damaged or
    of no family that is served.
    """
    path = find_face_restorer(model_name)
    remedy = "Download it again, or choose another file."
    try:
        signature = read_signature(path)
    except ValueError as error:
        raise cannot_load("model_name", str(path), error, remedy) from error
    kind = restorer_kind(signature)
    if kind is None:
        kinds = [f"{each.title} ({each.licence})" for each in (PLAIN, CODEFORMER)]
        raise ValueError(
            f"model_name: {path} is no face restorer that is served: it leads {signature}. {served(kinds)}"
        )
    providers = choose_providers(provider)
    try:
        session = open_session(path, providers)
    except Exception as error:  # damaged files raise many types
        raise cannot_load("model_name", str(path), error, remedy) from error
    return FaceRestorer(path, session, kind, weight)

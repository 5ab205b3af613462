"""Face analysis by InsightFace: load a pack, find the faces of a picture, put them in order.

A FACEANALYSIS value is an `insightface.app.FaceAnalysis`, or anything with its `get(bgr)` and `models`: values of this
pack and of other packs serve each other's nodes. A face is an `insightface.app.common.Face`: `bbox` (4,) and `kps`
(5, 2) in pixels (eyes, nose, mouth corners; left to right as seen), `embedding` (512,) as the recogniser gives it.
"""

import contextlib
import io

import numpy as np
import torch

from .model_files import find_face_pack
from .onnx_runtime import choose_providers, missing_package, one_line, report_idle_provider

FACE_ORDERS = {
    "left-right": lambda face: face.bbox[0],
    "right-left": lambda face: -face.bbox[0],
    "top-bottom": lambda face: face.bbox[1],
    "bottom-top": lambda face: -face.bbox[1],
    "large-small": lambda face: -_area(face),
    "small-large": lambda face: _area(face),
}


def load_face_analysis(pack: str, provider: str = "auto"):
    """Load a face pack from disk as an InsightFace FaceAnalysis, ready to use; nothing is ever downloaded.

    pack: a name of `face_packs()`. provider: one of PROVIDER_CHOICES. Raises FileNotFoundError for an absent pack,
    ImportError for an absent package, ValueError for files that are damaged or lack a detector or a recogniser.
    """
    folder = find_face_pack(pack)
    providers = choose_providers(provider)
    try:
        import insightface.app
    except ImportError as error:
        raise missing_package(error) from error
    files = ", ".join(sorted(path.name for path in folder.glob("*.onnx")))
    remedy = (
        "A pack needs a detector (det_10g.onnx, scrfd_10g_bnkps.onnx) and a recogniser (w600k_r50.onnx, "
        f"glintr100.onnx); delete {folder} and unpack {pack}.zip again."
    )
    # InsightFace before 2.0 prints what it loads. A whole path as the name keeps it from looking elsewhere.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            analysis = insightface.app.FaceAnalysis(name=str(folder), providers=providers)
        except Exception as error:  # damaged files raise many types; a missing detector is a bare AssertionError
            reason = one_line(error) or "no detector among them"
            raise ValueError(f"pack: InsightFace cannot load {folder} ({files}): {reason}. {remedy}") from error
        if "recognition" not in analysis.models:
            raise ValueError(f"pack: {folder} ({files}) has no recogniser. {remedy}")
        analysis.prepare(ctx_id=0)
    report_idle_provider(analysis.det_model.session, providers)
    return analysis


def detect_faces(face_analysis, picture: torch.Tensor) -> list:
    """Find the Faces in one picture: (H, W, C), RGB in 0..1, any further channels ignored. Best score first."""
    return face_analysis.get(to_bgr(picture))


def to_bgr(picture: torch.Tensor) -> np.ndarray:
    """(H, W, C) RGB in 0..1 to (H, W, 3) BGR uint8, which InsightFace expects."""
    rgb = (picture[..., :3].float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(rgb[..., ::-1])


def sort_faces(faces: list, order: str) -> list:
    """The faces in one of FACE_ORDERS: by the left or top edge of their boxes, or by their boxes' area."""
    return sorted(faces, key=FACE_ORDERS[order])


def _area(face) -> float:
    left, top, right, bottom = face.bbox
    return (right - left) * (bottom - top)

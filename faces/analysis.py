"""Face analysis by InsightFace: load a pack, find the faces in a picture, put them in order.

A FACEANALYSIS value is an `insightface.app.FaceAnalysis`, or anything with its `get(bgr)` and `models`: values of this
node pack and of others work in each other's nodes. A face is an `insightface.app.common.Face`: `bbox` (4,) and `kps`
(5, 2) in pixels (eyes, nose, mouth corners; left to right as seen), `embedding` (512,) as the recogniser gives it.
"""

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management
import numpy as np
import torch

from .errors import cannot_load, no_face_in_any, which_face, which_pictures
from .insightface_files import find_face_pack
from .onnx_runtime import choose_providers, face_package, report_idle_provider
from .pictures import each_picture

FACE_ORDERS = {
    "left-right": lambda face: face.bbox[0],
    "right-left": lambda face: -face.bbox[0],
    "top-bottom": lambda face: face.bbox[1],
    "bottom-top": lambda face: -face.bbox[1],
    "large-small": lambda face: -_area(face),
    "small-large": lambda face: _area(face),
}


@dataclass(frozen=True)
class ChosenFace:
    """Which face of a picture counts: number `index`, from 0, in one of FACE_ORDERS."""

    order: str = "large-small"
    index: int = 0


LEAST_SIDE = 8  # pixels of a picture's shorter side
MOST_OBLONG = 64  # times as long as wide

# The recogniser of each face pack. Embeddings of one mean nothing to models that were trained with another's.
RECOGNISERS = {"buffalo_l": "w600k_r50", "antelopev2": "glintr100"}


def load_face_analysis(pack: str, provider: str = "auto"):
    """Load a face pack from disk as an InsightFace FaceAnalysis, ready to use; nothing is ever downloaded.

    pack: a name of `face_packs()`. provider: one of PROVIDER_CHOICES. Raises FileNotFoundError for an absent pack,
    ImportError for an absent package, ValueError for files that are damaged or lack a detector or a recogniser.
    """
    folder = find_face_pack(pack)
    providers = choose_providers(provider)
    insightface = face_package("insightface.app")
    found = f"{folder} ({', '.join(sorted(path.name for path in folder.glob('*.onnx')))})"
    remedy = (
        "A pack needs a detector (det_10g.onnx, scrfd_10g_bnkps.onnx) and a recogniser (w600k_r50.onnx, "
        f"glintr100.onnx); delete {folder} and unpack {pack}.zip again."
    )
    # InsightFace before 2.0 prints what it loads. A whole path as the name keeps it from looking elsewhere.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            analysis = insightface.app.FaceAnalysis(name=str(folder), providers=providers)
        except Exception as error:  # damaged files raise many types; a missing detector is a bare AssertionError
            raise cannot_load("pack", found, error, remedy, "no detector among them") from error
        if "recognition" not in analysis.models:
            raise ValueError(f"pack: {found} has no recogniser. {remedy}")
        analysis.prepare(ctx_id=0)
    report_idle_provider(analysis.det_model.session, providers)
    return analysis


def check_recogniser(face_analysis, pack: str, purpose: str) -> None:
    """Raise ValueError if face_analysis computes no embeddings, or those of a recogniser other than `pack`'s.

    pack: a key of RECOGNISERS. purpose: what was trained with it, for the message. The recogniser is identified by its
    file's name; one that does not say which file it came from is trusted.
    """
    model_file = getattr(find_recogniser(face_analysis, pack), "model_file", None)
    if model_file is not None and not Path(model_file).name.startswith(RECOGNISERS[pack]):
        raise ValueError(
            f"face_analysis: its recogniser is {model_file}, but {purpose} was trained with {RECOGNISERS[pack]}.onnx "
            f"and would draw a stranger. Load the pack {pack}."
        )


def check_embedding_width(
    embeddings: torch.Tensor, width: int, reader: str, pack: str, name: str = "face_analysis"
) -> None:
    """Raise ValueError unless embeddings, (..., D), have the width that a model reads.

    reader: that model's name, pack: the face pack to load instead, name: the input they came from, for the message.
    """
    if embeddings.shape[-1] != width:
        raise ValueError(
            f"{name}: its embeddings are {embeddings.shape[-1]} wide, and {reader} reads {width}. Load the pack {pack}."
        )


def find_recogniser(face_analysis, pack: str = "buffalo_l"):
    """The model that computes a face_analysis's embeddings. Raises ValueError, recommending `pack`, if it has none."""
    recogniser = face_analysis.models.get("recognition")
    if recogniser is None:
        raise ValueError(f"face_analysis: has no recogniser, so it cannot tell people apart. Load the pack {pack}.")
    return recogniser


def detect_faces(face_analysis, picture: torch.Tensor) -> list:
    """Find the Faces in one picture: (H, W, C), RGB in 0..1, any further channels ignored. Best score first.

    There are none in a picture too small or too narrow to show one, which OpenCV could not scale for the detector.
    Raises ValueError where the analysis fails, or gives what are no Faces.
    """
    shorter, longer = sorted(picture.shape[:2])
    if shorter < LEAST_SIDE or longer > MOST_OBLONG * shorter:
        return []
    try:
        faces = list(face_analysis.get(to_bgr(picture)))
    except Exception as error:  # ONNX Runtime's and other packs' are of many types
        if isinstance(error, MemoryError) or comfy.model_management.is_oom(error):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"face_analysis: it failed on a picture ({reason}). Connect Load Face Analysis.") from error
    for face in faces:
        check_part(face, "bbox", axes=1)
    return faces


def check_part(face, part: str, axes: int) -> None:
    """Raise ValueError unless a face that another pack's analysis may have found has a part, an array of so many axes.

    part: the attribute's name: bbox or embedding, of one axis, kps, of two.
    """
    if np.ndim(getattr(face, part, None)) != axes:
        raise ValueError(
            f"face_analysis: gives faces without {part} as InsightFace's have it. Connect Load Face Analysis."
        )


def find_face(face_analysis, picture: torch.Tensor, order: str = "large-small", index: int = 0):
    """The Face number `index`, from 0, of one picture, counted in one of FACE_ORDERS; None if there is none.

    picture: as for `detect_faces`.
    """
    faces = sort_faces(detect_faces(face_analysis, picture), order)
    return faces[index] if 0 <= index < len(faces) else None


def embed_faces(
    face_analysis, images: torch.Tensor, order: str = "large-small", index: int = 0, name: str = "reference_images"
):
    """One face of each reference picture, as its raw embedding.

    images: (N, H, W, C), RGB in 0..1. order, index: which face of a picture counts, see FACE_ORDERS. name: the input
    that they came from, for messages. Returns the numbers of the pictures that show one, and the embeddings, (M, 512)
    float32. One warning names the pictures that are left out. Raises ValueError if no picture shows a face.
    """
    faces = find_faces(face_analysis, images, order, index, name)
    return list(faces), torch.stack([embedding_of(face) for face in faces.values()])


def find_faces(face_analysis, images: torch.Tensor, order: str, index: int, name: str) -> dict:
    """The chosen Face of each picture that shows it, by the picture's number. Arguments, errors: of `embed_faces`."""
    return pick_each(sorted_faces(face_analysis, images, order), index, name)


def sorted_faces(face_analysis, images: torch.Tensor, order: str) -> list[list]:
    """The Faces of each picture, (N, H, W, C), RGB in 0..1, in one of FACE_ORDERS."""
    return [sort_faces(detect_faces(face_analysis, picture), order) for _, picture in each_picture(images)]


def pick_each(found: list[list], index: int, name: str) -> dict:
    """Face number `index` of each picture that shows it, by the picture's number. found: of `sorted_faces`.

    One warning names the pictures that are left out. Raises ValueError, naming the input `name`, if none shows it.
    """
    faces = {number: there[index] if 0 <= index < len(there) else None for number, there in enumerate(found)}
    left_out = [number for number, face in faces.items() if face is None]
    if len(left_out) == len(faces):
        raise no_face_in_any(name, len(found), index)
    if left_out:
        are, pictures = "are" if len(left_out) > 1 else "is", which_pictures(left_out)
        logging.warning("%s: %s found in %s, which %s left out.", name, which_face(index), pictures, are)
    return {number: face for number, face in faces.items() if face is not None}


def embedding_of(face) -> torch.Tensor:
    """A Face's raw embedding, (512,) float32. Raises ValueError if it has none."""
    check_part(face, "embedding", axes=1)
    return torch.from_numpy(np.float32(face.embedding))


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

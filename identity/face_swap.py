"""Face swap by InsightFace's inswapper: the face in an aligned crop is redrawn with another person's identity.

Model file (inswapper_128.onnx): inputs `target` (1, 3, 128, 128) RGB in 0..1 and `source` (1, 512), one output like
`target`; the last initializer, `emap` (512, 512), maps a normalised buffalo_l embedding to `source`.
"""

import contextlib
import io

import numpy as np
import torch

from .face_analysis import to_bgr
from .model_files import find_face_swapper
from .onnx_runtime import choose_providers, missing_package, one_line, report_idle_provider


def load_face_swapper(model_name: str, provider: str = "auto"):
    """Load a face swapper from disk as an InsightFace INSwapper; nothing is ever downloaded.

    model_name: a name of `face_swappers()`. provider: one of PROVIDER_CHOICES. Raises FileNotFoundError for an absent
    file, ImportError for an absent package, ValueError for a file that is damaged or no inswapper.
    """
    path = find_face_swapper(model_name)
    providers = choose_providers(provider)
    try:
        import insightface.model_zoo.inswapper
    except ImportError as error:
        raise missing_package(error) from error
    remedy = "Download inswapper_128.onnx again and put it there."
    with contextlib.redirect_stdout(io.StringIO()):  # InsightFace prints the model's shape
        try:
            swapper = insightface.model_zoo.get_model(str(path), providers=providers)
        except Exception as error:  # damaged files raise many types
            raise ValueError(f"model_name: InsightFace cannot load {path}: {one_line(error)}. {remedy}") from error
    if not isinstance(swapper, insightface.model_zoo.inswapper.INSwapper):
        raise ValueError(f"model_name: {path} is an ONNX file, but no face swapper of the inswapper kind. {remedy}")
    if swapper.emap.shape != (512, 512):
        raise ValueError(
            f"model_name: {path} ends with {swapper.emap.shape}, not with inswapper's map (512, 512). {remedy}"
        )
    report_idle_provider(swapper.session, providers)
    return swapper


def parse_indices(name: str, text: str) -> list[int]:
    """Read the input called `name`: face indices from 0, separated by commas. Raises ValueError for anything else."""
    indices = [part.strip() for part in text.split(",")]
    if not all(index.isdecimal() for index in indices):
        raise ValueError(f"{name}: {text!r} is no list of face indices. Write numbers from 0, separated by commas: 0,2")
    return [int(index) for index in indices]


def pick_faces(name: str, where: str, faces: list, indices: list[int]) -> list:
    """The faces of these indices. Raises ValueError, naming the input and `where` it looked, if one is out of range."""
    if max(indices) >= len(faces):
        raise ValueError(
            f"{name}: index {max(indices)} is out of range: {where} has {len(faces)} face(s), counted "
            f"from 0. Choose 0 to {len(faces) - 1}."
        )
    return [faces[index] for index in indices]


def swap_faces(picture: torch.Tensor, targets: list, sources: list, swapper) -> tuple[torch.Tensor, torch.Tensor]:
    """Give each target face of one picture the identity of its source face, one after the other.

    picture: (H, W, C), RGB in 0..1; any further channels stay. targets: Faces found in it. sources: as many Faces.
    Gives the new picture and a mask (H, W): how much of each pixel was replaced, 0 (not touched at all) to 1.
    """
    swapped = picture.clone()
    kept = torch.ones(picture.shape[:2], device=picture.device)
    for target, source in zip(targets, sources, strict=True):
        face_bgr, matrix = swapper.get(to_bgr(swapped), target, source, paste_back=False)
        face = face_bgr[..., ::-1].astype(np.float32) / 255
        pasted, mask = _paste(swapped[..., :3].float().cpu().numpy(), face, matrix)
        swapped[..., :3] = torch.from_numpy(pasted)
        kept *= 1 - torch.from_numpy(mask).to(kept)
    return swapped, 1 - kept


def _paste(picture: np.ndarray, face: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blend an aligned face (S, S, 3) into a picture (H, W, 3). matrix (2, 3) maps the picture to the crop.

    Gives the picture and the mask (H, W). In float32, unlike InsightFace's own, so that all else keeps every bit.
    """
    import cv2

    height, width = picture.shape[:2]
    to_picture = cv2.invertAffineTransform(matrix)
    warped = cv2.warpAffine(face, to_picture, (width, height))
    mask = _soft_mask(cv2.warpAffine(np.ones(face.shape[:2], np.float32), to_picture, (width, height)))
    return mask[..., None] * warped + (1 - mask[..., None]) * picture, mask


def _soft_mask(coverage: np.ndarray) -> np.ndarray:
    """The crop's footprint (H, W) in 0..1, drawn in from its edge and softened: InsightFace's recipe for pasting.

    A tenth of the footprint's size is cut off (its border holds little face), a twentieth is the blur's radius.
    """
    import cv2

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

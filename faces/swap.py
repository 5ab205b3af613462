"""Face swap by InsightFace's inswapper, which redraws the face in an aligned crop with another person's identity.

Model file (inswapper_128.onnx): inputs `target` (1, 3, 128, 128) RGB in 0..1 and `source` (1, 512), one output like
`target`; the last initializer, `emap` (512, 512), maps a normalised buffalo_l embedding to `source`.
"""

import contextlib
import io
import logging

import numpy as np
import torch

from .analysis import check_recogniser, detect_faces, sort_faces, to_bgr
from .errors import cannot_load, no_face_in_any, no_face_in_picture, which_pictures
from .insightface_files import find_face_swapper
from .onnx_runtime import choose_providers, face_package, report_idle_provider
from .pictures import each_picture

# What target_faces says for every face of a picture.
ALL = "all"


def load_face_swapper(model_name: str, provider: str = "auto"):
    """Load a face swapper from disk as an InsightFace INSwapper; nothing is ever downloaded.

    model_name: a name of `face_swappers()`. provider: one of PROVIDER_CHOICES. Raises FileNotFoundError for an absent
    file, ImportError for an absent package, ValueError for a file that is damaged or not an inswapper.
    """
    path = find_face_swapper(model_name)
    providers = choose_providers(provider)
    insightface = face_package("insightface.model_zoo.inswapper")
    remedy = "Download inswapper_128.onnx again and put it there."
    with contextlib.redirect_stdout(io.StringIO()):  # InsightFace prints the model's shape
        try:
            swapper = insightface.model_zoo.get_model(str(path), providers=providers)
        except Exception as error:  # damaged files raise many types
            raise cannot_load("model_name", str(path), error, remedy) from error
    if not isinstance(swapper, insightface.model_zoo.inswapper.INSwapper):
        raise ValueError(f"model_name: {path} is an ONNX file, but not a face swapper of the inswapper kind. {remedy}")
    if swapper.emap.shape != (512, 512):
        raise ValueError(
            f"model_name: the last initializer of {path} is {swapper.emap.shape}, but inswapper's map is (512, 512). "
            f"{remedy}"
        )
    report_idle_provider(swapper.session, providers)
    return swapper


def swap_batch(
    images: torch.Tensor,
    reference: torch.Tensor,
    face_analysis,
    face_swapper,
    target_faces: str = "0",
    target_order: str = "left-right",
    reference_faces: str = "0",
    reference_order: str = "left-right",
    no_face: str = "error",
) -> tuple[torch.Tensor, torch.Tensor]:
    """`swap_faces` for a batch: faces of each picture get the identities of faces of the reference person's picture.

    images, reference: (N, H, W, C), RGB in 0..1; of reference, the first picture that shows a face is used.
    face_analysis: a FACEANALYSIS of buffalo_l. target_faces: "all", or see `parse_indices`. reference_faces: see there;
    one for all targets, or one for each, in order. target_order, reference_order: in which of FACE_ORDERS they are
    counted. no_face: "pass_through" swaps what a picture has, which may be nothing, and one warning names the pictures
    in which something was missing. Returns the new pictures and the masks, (N, H, W), one for each of images.
    Raises ValueError, naming the input, where faces are missing or the indices do not fit.
    """
    check_recogniser(face_analysis, "buffalo_l", "the face swapper")
    targets = (
        None if target_faces.strip().lower() == ALL else parse_indices("target_faces", target_faces, f", or {ALL}")
    )
    source_indices = parse_indices("reference_faces", reference_faces)
    if targets and len(source_indices) not in (1, len(targets)):
        raise ValueError(
            f"reference_faces: {len(source_indices)} indices for {len(targets)} in target_faces. "
            "Give one for all, or one for each."
        )
    found = sort_faces(_first_faces(face_analysis, reference), reference_order)
    sources = pick_faces("reference_faces", "reference", found, source_indices)

    swapped, masks = images.clone(), torch.zeros(images.shape[:3], device=images.device)
    without_face, without_source = [], []
    for number, picture in each_picture(images):
        faces = sort_faces(detect_faces(face_analysis, picture), target_order)
        wanted = list(range(len(faces))) if targets is None else targets
        chosen = sources * len(wanted) if len(sources) == 1 else sources
        if no_face == "error":
            _check_faces(number, faces, wanted, chosen)
        pairs = [(faces[index], source) for index, source in zip(wanted, chosen, strict=False) if index < len(faces)]
        if not faces or max(wanted) >= len(faces):
            without_face.append(number)
        elif len(pairs) < len(wanted):
            without_source.append(number)
        if pairs:
            swapped[number], masks[number] = swap_faces(picture, *zip(*pairs, strict=True), face_swapper)
    if without_face:
        logging.warning(
            "target_faces: %r, of which %s of image did not show all. The faces found were swapped.",
            target_faces, which_pictures(without_face),
        )  # fmt: skip
    if without_source:
        logging.warning(
            "reference_faces: %r, which are fewer than the faces in %s of image. The other faces were left unchanged.",
            reference_faces, which_pictures(without_source),
        )  # fmt: skip
    return swapped, masks


def _check_faces(number: int, faces: list, wanted: list[int], sources: list) -> None:
    """Raise ValueError unless picture `number` shows every wanted face and each of them has a source."""
    if not faces:
        raise no_face_in_picture("image", number, "leaves it unchanged")
    passing = "or set no_face to pass_through, which swaps the faces that are there"
    pick_faces("target_faces", f"picture {number} of image", faces, wanted, passing)
    if len(sources) < len(wanted):
        raise ValueError(
            f"reference_faces: {len(sources)} indices for the {len(wanted)} faces in picture {number} of image. Give "
            "one for all, or one for each, or set no_face to pass_through, which leaves the other faces unchanged."
        )


def _first_faces(face_analysis, reference: torch.Tensor) -> list:
    """The faces of the first picture that shows any."""
    for _, picture in each_picture(reference):
        if faces := detect_faces(face_analysis, picture):
            return faces
    raise no_face_in_any("reference", len(reference))


def parse_indices(name: str, text: str, otherwise: str = "") -> list[int]:
    """Read the input called `name`: face indices from 0, separated by commas. Raises ValueError for anything else.

    otherwise: what else may stand there, for the message.
    """
    indices = [part.strip() for part in text.split(",")]
    if not all(index.isdecimal() for index in indices):
        raise ValueError(
            f"{name}: {text!r} is not a list of face indices. Write numbers from 0, separated by commas, such as 0,2"
            f"{otherwise}."
        )
    return [int(index) for index in indices]


def pick_faces(name: str, where: str, faces: list, indices: list[int], otherwise: str = "") -> list:
    """The faces of these indices. Raises ValueError, naming the input and `where` it looked, if one is out of range.

    otherwise: what else can be done about it, for the message.
    """
    if max(indices) >= len(faces):
        remedy = ", ".join(filter(None, [f"Choose 0 to {len(faces) - 1}", otherwise]))
        raise ValueError(
            f"{name}: index {max(indices)} is out of range: {where} has {len(faces)} face(s), counted from 0. {remedy}."
        )
    return [faces[index] for index in indices]


def swap_faces(picture: torch.Tensor, targets: list, sources: list, swapper) -> tuple[torch.Tensor, torch.Tensor]:
    """Give each target face of one picture the identity of its source face, one after the other.

    picture: (H, W, C), RGB in 0..1; any further channels stay. targets: Faces found in it. sources: as many Faces.
    Returns the new picture and a mask (H, W): how much of each pixel was replaced, 0 (untouched) to 1.
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

    Returns the picture and the mask (H, W). In float32, unlike InsightFace's own paste, so that every pixel outside the
    mask keeps all its bits.
    """
    cv2 = face_package("cv2")

    height, width = picture.shape[:2]
    to_picture = cv2.invertAffineTransform(matrix)
    warped = cv2.warpAffine(face, to_picture, (width, height))
    mask = _soft_mask(cv2.warpAffine(np.ones(face.shape[:2], np.float32), to_picture, (width, height)))
    return mask[..., None] * warped + (1 - mask[..., None]) * picture, mask


def _soft_mask(coverage: np.ndarray) -> np.ndarray:
    """The crop's footprint (H, W) in 0..1, shrunk from its edge and softened: InsightFace's recipe for pasting.

    A tenth of the footprint's size is eroded (its border shows little of the face), a twentieth is the blur's radius.
    """
    cv2 = face_package("cv2")

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

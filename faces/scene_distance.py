"""How far pictures are from the scene that they were made of, outside the person's head: the root mean square of the
difference of their pixels.

It says whether the scene was kept. It is no perceptual distance, as LPIPS is, and no Scene Diversity, which compares
pictures with one another.
"""

import torch
from torch import Tensor

from .analysis import find_face
from .errors import no_face_in_picture, which_pictures
from .pictures import each_picture

HEAD = 0.3  # hair is within so many widths and heights of a face's box around it


def distances_from_scene(
    images: Tensor, scene: Tensor, face_analysis, mask: Tensor | None, order: str, index: int, no_face: str
) -> tuple[list[float], str]:
    """`scene_distances` outside a mask, or else the head that a face_analysis finds in the scene, or else everywhere.

    images, scene: (N, H, W, C) and (N or 1, H, W, C), RGB in 0..1. face_analysis, mask: either may be None. order,
    index, no_face: see `head_masks`. Returns the distances, and what of the pictures was compared, in words. Raises
    ValueError, naming the input, where pictures or masks do not fit together.
    """
    check_pairs("scene", scene, images)
    if mask is not None:
        left_out = masked_out(mask)
        check_pairs("mask", left_out, images)
        return scene_distances(images, scene, left_out), "outside mask"
    if face_analysis is None:
        return scene_distances(images, scene), "of the whole picture, faces included"
    heads = head_masks(face_analysis, scene, order, index, no_face)
    whole = [number for number, head in enumerate(heads) if not head.any()]
    but = f", the whole of {which_pictures(whole)} of scene, where no face was found" if whole else ""
    return scene_distances(images, scene, heads), f"outside the head{but}"


def head_masks(face_analysis, scene: Tensor, order: str, index: int, no_face: str) -> Tensor:
    """1 in a box around the head of one face of each picture, 0 elsewhere: (N, H, W) float32.

    scene: (N, H, W, C), RGB in 0..1. order, index: which face, see FACE_ORDERS. no_face: "error" raises ValueError,
    naming the input scene, for a picture that shows no such face; "pass_through" leaves its mask 0. Raises ValueError
    where the box covers a whole picture.
    """
    masks = torch.zeros(scene.shape[:3])
    for number, picture in each_picture(scene):
        face = find_face(face_analysis, picture, order, index)
        if face is None and no_face == "error":
            raise no_face_in_picture("scene", number, "compares the whole picture", index)
        if face is None:
            continue
        left, top, right, bottom = (float(edge) for edge in face.bbox)
        aside, above = HEAD * (right - left), HEAD * (bottom - top)
        rows = slice(max(int(top - above), 0), max(round(bottom + above), 0))
        masks[number, rows, max(int(left - aside), 0) : max(round(right + aside), 0)] = 1
        if masks[number].all():
            raise ValueError(
                f"scene: the head fills picture {number}, so nothing of the scene is left to compare. Use a picture "
                "with more of the scene, or connect a mask of what to leave out."
            )
    return masks


def masked_out(mask: Tensor) -> Tensor:
    """A MASK of what to leave out as (N, H, W) float32. Raises ValueError, naming it, where it leaves nothing."""
    masks = mask.reshape(-1, *mask.shape[-2:]).float().clamp(0, 1)
    for number, each in enumerate(masks):
        if (each == 1).all():
            raise ValueError(
                f"mask: its mask {number} covers the whole picture, so nothing of the scene is left to compare. Paint "
                "what to leave out alone, such as the head."
            )
    return masks


def check_pairs(name: str, given: Tensor, images: Tensor) -> None:
    """Raise ValueError unless there is one for all pictures of a batch, (N, H, W, C), or one for each, of their size.

    name: of its input. given: masks (M, H, W), or pictures (M, H, W, C).
    """
    if len(given) not in (1, len(images)):
        raise ValueError(f"{name}: {len(given)} for {len(images)} in image. Connect one for all, or one for each.")
    (height, width), (wanted_height, wanted_width) = given.shape[1:3], images.shape[1:3]
    if (height, width) != (wanted_height, wanted_width):
        raise ValueError(
            f"{name}: is {width} x {height}, and image {wanted_width} x {wanted_height}. Scale one of them."
        )


def scene_distances(images: Tensor, scene: Tensor, left_out: Tensor | None = None) -> list[float]:
    """The distance of each picture to its scene, 0 (the same) to 1.

    images: (N, H, W, C), scene: (N or 1, H, W, C), RGB in 0..1. left_out: (N or 1, H, W), 1 where pixels do not count,
    somewhere below 1; None counts all.
    """
    distances = []
    for number, picture in each_picture(images):
        other = scene[number % len(scene)].to(picture.device)
        squares = (picture[..., :3].float() - other[..., :3].float()).square().mean(dim=-1)
        counts = torch.ones_like(squares) if left_out is None else 1 - left_out[number % len(left_out)].to(squares)
        distances.append(((squares * counts).sum() / counts.sum()).sqrt().item())
    return distances

"""Masks of the faces or heads in pictures, for the rest of a graph."""

from dataclasses import dataclass

import numpy as np
import torch

from .choosing import Wanted, each_wanted
from .outline import face_outline, face_side, head_outline, inside_of, ramp

FACE, HEAD, EVERYTHING_BUT = PARTS = ("face", "head", "everything but")


@dataclass(frozen=True)
class Shape:
    """part: of PARTS; "everything but" is all except the head. grow, feather: in shares of each face's size."""

    part: str = HEAD
    grow: float = 0.0
    feather: float = 0.1


def face_masks(images: torch.Tensor, face_analysis, wanted: Wanted, shape: Shape, no_face: str) -> torch.Tensor:
    """A mask for each picture, (N, H, W) float32 in 0..1. images: (N, H, W, C), RGB in 0..1.

    no_face: "pass_through" masks the faces that are there. Raises ValueError, naming the input, where one is missing.
    """
    masks = torch.zeros(images.shape[:3])
    leaves, done = "masks none in it", "The faces found were masked."
    for number, picture, faces in each_wanted(face_analysis, images, wanted, no_face, leaves, done):
        height, width = picture.shape[:2]
        found = [face_mask(face, shape, height, width) for face in faces if face is not None]
        if found:
            masks[number] = torch.from_numpy(np.max(found, axis=0))
    return 1 - masks if shape.part == EVERYTHING_BUT else masks


def face_mask(face, shape: Shape, height: int, width: int) -> np.ndarray:
    """The mask of one face, or head, in a picture of this size, (H, W) float32 in 0..1."""
    outline = face_outline(face) if shape.part == FACE else head_outline(face)
    side = face_side(face)
    return ramp(inside_of(outline, height, width), shape.feather * side, shape.grow * side)

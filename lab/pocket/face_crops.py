"""Aligned faces as InsightFace cuts them, and a pool of pictures that is redrawn little by little."""

from typing import TypeVar

import cv2
import numpy as np
import torch

Item = TypeVar("Item")
# Where the five points lie in ArcFace's crop of 112 pixels.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def alignment(keypoints: np.ndarray, size: int) -> np.ndarray:
    """The similarity, (2, 3), that brings five points (5, 2) nearest to ArcFace's in a crop of 112 or 128 pixels.

    The crop of 128 is the one of 112 with 8 pixels more left and right and 16 below: InsightFace's `estimate_norm`.
    """
    aim = TEMPLATE @ (1, 1j) + (8.0 if size == 128 else 0.0)
    points = np.asarray(keypoints, np.float64) @ (1, 1j)
    centred = points - points.mean()
    turn = np.vdot(centred, aim - aim.mean()) / np.vdot(centred, centred)
    shift = aim.mean() - turn * points.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def crop(pixels: np.ndarray, keypoints: np.ndarray, size: int) -> np.ndarray:
    """The aligned face, (size, size, 3) uint8, of a picture (H, W, 3) uint8; black where there is no picture."""
    return cv2.warpAffine(pixels, alignment(keypoints, size), (size, size))


def pasted_part(keypoints: np.ndarray, size: int, side: int) -> np.ndarray:
    """What InsightFace pastes of a face's crop of `size` into a picture of (side, side): (size, size) float32, 0 to 1.

    It leaves out a tenth of the crop's size in the picture and ten pixels at least, so of a small face the middle alone
    is pasted; the border is soft.
    """
    matrix = alignment(keypoints, size)
    white = np.ones((size, size), np.float32)
    covered = cv2.warpAffine(white, cv2.invertAffineTransform(matrix), (side, side)) > 20 / 255
    rows, columns = np.nonzero(covered)
    extent = int(np.sqrt(np.ptp(rows) * np.ptp(columns)))
    margin, radius = max(extent // 10, 10), max(extent // 20, 5)
    inner = cv2.erode(covered.astype(np.float32), np.ones((margin, margin), np.uint8))
    soft = cv2.GaussianBlur(inner, (2 * radius + 1, 2 * radius + 1), 0)
    return cv2.warpAffine(soft, matrix, (size, size))


def jitter(keypoints: np.ndarray, rng: np.random.Generator, share: float = 0.03) -> np.ndarray:
    """The five points as a detector might find them, off by about `share` of the distance between the eyes."""
    return keypoints + rng.normal(0, share * np.linalg.norm(keypoints[1] - keypoints[0]), keypoints.shape)


def as_input(pixels: list[np.ndarray]) -> torch.Tensor:
    """(H, W, 3) uint8 pictures of one size as (B, 3, H, W), 0 to 1, the channels last in memory."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float().div(255)


def signed(pictures: torch.Tensor) -> torch.Tensor:
    """0 to 1 as -1 to 1, as the recogniser and the detector want it."""
    return pictures * 2 - 1

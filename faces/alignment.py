"""Aligned crops: a face turned, scaled and moved so that its five points lie where a model expects them."""

import numpy as np

from .onnx_runtime import face_package

# Where FFHQ's crops, on which the restorers were trained, have the five points: fractions of the crop's side.
FFHQ = np.array(
    [
        [0.37691676, 0.46864664],
        [0.62285697, 0.46912813],
        [0.50123859, 0.61331904],
        [0.39308822, 0.725411],
        [0.61150205, 0.72490465],
    ]
)


def arcface_matrix(points: np.ndarray, side: int) -> np.ndarray:
    """The (2, 3) matrix from a picture to ArcFace's crop of a face. points: (5, 2), pixels. side: 112 or 128 n."""
    return face_package("insightface.utils.face_align").utils.face_align.estimate_norm(np.asarray(points), side)


def ffhq_matrix(points: np.ndarray, side: int) -> np.ndarray:
    """The (2, 3) matrix from a picture to FFHQ's crop of a face, this many pixels wide. points: (5, 2), pixels.

    The similarity that brings the points nearest to the template, by least squares.
    """
    found, aim = (np.asarray(each, np.float64) @ (1, 1j) for each in (points, FFHQ * side))
    centred = found - found.mean()
    turn = np.vdot(centred, aim - aim.mean()) / max(np.vdot(centred, centred).real, 1e-12)
    shift = aim.mean() - turn * found.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def inverted(matrix: np.ndarray) -> np.ndarray:
    """The (2, 3) matrix back."""
    return face_package("cv2").invertAffineTransform(matrix)


def warped(picture: np.ndarray, matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture, (H, W) or (H, W, C), through a (2, 3) matrix; black where it shows nothing."""
    return face_package("cv2").warpAffine(picture, matrix, (width, height))

"""Where a face is: its outline from the landmarks that a face pack finds, and the head around it, as masks.

InsightFace's landmarks are `landmark_2d_106` and `landmark_3d_68` (buffalo_l has both, antelopev2 too); without them
the five points place an oval.
"""

import numpy as np

from .alignment import arcface_matrix, inverted
from .onnx_runtime import face_package

LANDMARKS = ("landmark_2d_106", "landmark_3d_68")
# In ArcFace's crop of 112 pixels: the oval of a face seen from the front, and that of a head with its hair.
CROP = 112
FACE_OVAL = ((56.0, 66.0), (46.0, 58.0))
HEAD_OVAL = ((56.0, 52.0), (68.0, 84.0))
FOREHEAD = 0.3  # how far above the brows a face reaches, as a share of what landmarks of it are high
CORNERS = 72  # of an oval


def face_side(face) -> float:
    """The size of a face in pixels, by which borders are measured: the mean side of its box, one pixel at least."""
    left, top, right, bottom = (float(edge) for edge in face.bbox)
    return max(float(np.sqrt(max(right - left, 1) * max(bottom - top, 1))), 1.0)


def face_outline(face) -> np.ndarray:
    """The outline of a face without its hair, (N, 2) float32, in pixels of the picture."""
    points = landmarks(face)
    if points is None:
        return _oval(face, FACE_OVAL)
    up = _upward(face)
    heights = points @ up
    # Landmarks end at the brows. Raised, their upper half makes the forehead.
    raised = points[heights > np.median(heights)] + FOREHEAD * np.ptp(heights) * up
    return face_package("cv2").convexHull(np.concatenate([points, raised]).astype(np.float32))[:, 0]


def head_outline(face) -> np.ndarray:
    """The outline of the head with its hair, as far as a face tells, (N, 2) float32, in pixels of the picture."""
    around = np.concatenate([_oval(face, HEAD_OVAL), face_outline(face)])
    return face_package("cv2").convexHull(around.astype(np.float32))[:, 0]


def landmarks(face) -> np.ndarray | None:
    """The landmarks of a face that the pack has found, (N, 2), or None."""
    for name in LANDMARKS:
        points = getattr(face, name, None)
        if np.ndim(points) == 2 and len(points) >= 68 and np.isfinite(points).all():
            return np.asarray(points, np.float64)[:, :2]
    return None


def inside_of(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels inside an outline, (H, W) bool."""
    mask = np.zeros((height, width), np.uint8)
    face_package("cv2").fillConvexPoly(mask, np.round(outline).astype(np.int32), 1)
    return mask > 0


def ramp(inside: np.ndarray, width: float, grow: float = 0.0) -> np.ndarray:
    """A mask, (H, W) float32, that rises smoothly from 0 to 1 over `width` pixels, of which the edge is the middle.

    inside: (H, W) bool. grow: how many pixels the edge is moved outwards first, or inwards if negative. Beyond the
    picture's own edges, what is inside goes on.
    """
    return _smooth((_depth(inside) - _depth(~inside) + grow) / max(width, 1.0) + 0.5)


def inner_ramp(inside: np.ndarray, width: float) -> np.ndarray:
    """The same with the edge at its beginning. Where nothing is `width` pixels deep, the deepest place is 1."""
    depth = _depth(inside)
    return _smooth(depth / max(min(width, float(depth.max())), 1.0))


def _depth(inside: np.ndarray) -> np.ndarray:
    """How many pixels each pixel inside is away from the edge; 0 outside."""
    cv2 = face_package("cv2")
    return cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _smooth(share: np.ndarray) -> np.ndarray:
    share = share.clip(0, 1)
    return share * share * (3 - 2 * share)


def _oval(face, oval) -> np.ndarray:
    (x, y), (across, down) = oval
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    points = np.stack([x + across * np.cos(angles), y + down * np.sin(angles), np.ones(CORNERS)])
    return (inverted(arcface_matrix(face.kps, CROP)) @ points).T.astype(np.float32)


def _upward(face) -> np.ndarray:
    """The direction from the mouth to the eyes, of length 1."""
    eyes, mouth = np.asarray(face.kps[:2], float).mean(0), np.asarray(face.kps[3:], float).mean(0)
    return (eyes - mouth) / max(float(np.linalg.norm(eyes - mouth)), 1e-6)

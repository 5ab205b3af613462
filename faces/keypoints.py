"""Key-point pictures, the control pictures of InstantID's IdentityNet: five points of a face as sticks and discs.

Colours, widths and brightness are those that IdentityNet was trained with (instantX-research/InstantID, draw_kps), at
the size to which its pipeline scales every picture: 1280 pixels on the longer side.
"""

import numpy as np
import torch

from .analysis import check_part, find_face
from .errors import no_face
from .onnx_runtime import face_package
from .pictures import each_picture

LONGER_SIDE = 1280
# Of the points in the order of Face.kps (eyes, nose, mouth corners). A stick has the colour of its outer end.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
NOSE = 2
STICK_WIDTH = 4
STICK_BRIGHTNESS = 0.6
DISC_RADIUS = 10
# How a key-point picture is recognised: at least this much of it is black, as in a photograph at night ...
BLACK = 0.5
# ... but most pixels brighter than LIT also have one of the colours, and most of the colours occur among them. Sticks
# and blurred edges are dimmer, so hues are compared, with a tolerance for what compression does to thin sticks.
LIT = 0.3
COLOUR_TOLERANCE = 0.4
COLOURED = 0.6
COLOURS_SEEN = 3
SMALLEST_PART = 0.02


def draw_keypoints(points: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Draw the five key points of one face, (5, 2), x and y in pixels of a picture this large.

    Returns a picture of the same proportions, (H, W, 3), RGB in 0..1, with 1280 pixels on its longer side.
    """
    cv2 = face_package("cv2")

    scale = LONGER_SIDE / max(height, width)
    canvas = np.zeros((round(height * scale), round(width * scale), 3), np.uint8)
    points = np.asarray(points, float) * scale
    for point, colour in zip(points, COLOURS, strict=True):
        across, down = point - points[NOSE]
        if not across and not down:
            continue  # the nose itself
        centre = tuple(int(value) for value in (points[NOSE] + point) / 2)
        axes = int(np.hypot(across, down) / 2), STICK_WIDTH
        stick = cv2.ellipse2Poly(centre, axes, int(np.degrees(np.arctan2(down, across))), 0, 360, 1)
        cv2.fillConvexPoly(canvas, stick, colour)
    canvas = (canvas * STICK_BRIGHTNESS).astype(np.uint8)
    for point, colour in zip(points, COLOURS, strict=True):
        cv2.circle(canvas, tuple(int(value) for value in point), DISC_RADIUS, colour, -1)
    return torch.from_numpy(canvas).float() / 255


def keypoints_of(name: str, images: torch.Tensor, face_analysis, order: str, index: int) -> torch.Tensor:
    """A key-point picture for each picture: drawn from its face, or the picture itself if it already is one.

    images: (N, H, W, C), RGB in 0..1. order, index: which face counts, see FACE_ORDERS. Returns (N, h, w, 3).
    Raises ValueError, naming the input `name`, for a picture that shows no such face and is not a key-point picture.
    """
    drawn = None  # The whole batch, made with the first one: each takes 20 MB, and a second copy would double that.
    for number, picture in each_picture(images):
        if face := find_face(face_analysis, picture, order, index):
            check_part(face, "kps", axes=2)
            keypoints = draw_keypoints(face.kps, *picture.shape[:2])
        elif _is_drawn(picture):
            keypoints = picture[..., :3]
        else:
            where = f"picture {number}, and it is not a key-point picture (five coloured points on black) either"
            raise no_face(name, where, "Use a photograph with a clear face, or connect a key-point picture.", index)
        if drawn is None:
            drawn = keypoints.new_empty((len(images), *keypoints.shape))
        elif keypoints.shape != drawn.shape[1:]:
            sizes = sorted((tuple(keypoints.shape), tuple(drawn.shape[1:])))
            raise ValueError(
                f"{name}: mixes photographs and key-point pictures of other sizes, {sizes}. Connect only one kind."
            )
        drawn[number] = keypoints
    return drawn


def _is_drawn(picture: torch.Tensor) -> bool:
    """Whether this is a key-point picture: COLOURS on black, at any size, even after scaling or compression."""
    brightness = picture[..., :3].amax(dim=-1)
    lit = picture[..., :3][brightness > LIT]
    if len(lit) == 0 or (brightness > 0.1).float().mean() >= 1 - BLACK:
        return False
    hues = lit / lit.amax(dim=-1, keepdim=True)
    colours = hues.new_tensor(COLOURS) / 255
    parts = torch.stack([((hues - colour).abs() < COLOUR_TOLERANCE).all(dim=-1).float().mean() for colour in colours])
    return bool(parts.sum() >= COLOURED and (parts >= SMALLEST_PART).sum() >= COLOURS_SEEN)

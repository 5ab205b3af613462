"""What the pocket world's control modules are shown: key-point pictures and edges, as the nodes make them."""

import cv2
import numpy as np
import torch
from kornia.filters import canny

SIZE = 128
THRESHOLDS = 0.4, 0.8  # the Canny node's own
# Key-point pictures have this size and colours, see faces/keypoints.py; the host takes every tenth of their pixels.
DRAWN, STEP = 1280, 10
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
NOSE, STICK_WIDTH, STICK_BRIGHTNESS, DISC_RADIUS = 2, 4, 0.6, 10
# By number: nothing, the discs, the sticks.
PALETTE = np.array(
    [(0, 0, 0), *COLOURS, *(tuple(int(STICK_BRIGHTNESS * value) for value in colour) for colour in COLOURS)], np.uint8
)


def keypoints_picture(points: np.ndarray) -> np.ndarray:
    """Five key points (5, 2) in pixels of a picture of SIZE as sticks and discs: (SIZE, SIZE, 3) uint8, RGB."""
    canvas = np.zeros((DRAWN, DRAWN), np.uint8)  # numbers of PALETTE: one channel costs a third
    points = np.asarray(points, float) * (DRAWN / SIZE)
    for number, point in enumerate(points):
        across, down = point - points[NOSE]
        if not across and not down:
            continue  # the nose itself
        centre = tuple(int(value) for value in (points[NOSE] + point) / 2)
        axes = int(np.hypot(across, down) / 2), STICK_WIDTH
        stick = cv2.ellipse2Poly(centre, axes, int(np.degrees(np.arctan2(down, across))), 0, 360, 1)
        cv2.fillConvexPoly(canvas, stick, 1 + len(COLOURS) + number)
    for number, point in enumerate(points):
        cv2.circle(canvas, tuple(int(value) for value in point), DISC_RADIUS, 1 + number, -1)
    return PALETTE[canvas[STEP // 2 :: STEP, STEP // 2 :: STEP]]


def edges_picture(pixels: np.ndarray) -> np.ndarray:
    """Edges of pictures (B, H, W, 3) uint8, as the host's Canny node finds them by default: (B, H, W) bool.

    The node lets strong edges spread along weak ones a pixel at a time, which takes most of its time; here a connected
    piece counts as a whole.
    """
    pictures = torch.tensor(pixels).movedim(-1, 1).float() / 255
    strengths = canny(pictures, *THRESHOLDS, hysteresis=False)[1][:, 0].numpy()  # 0, 0.5 for a weak edge, 1
    found = []
    for strength in strengths:
        _, pieces = cv2.connectedComponents((strength > 0).astype(np.uint8), connectivity=8)
        found.append(np.isin(pieces, pieces[strength == 1]))
    return np.stack(found)


def as_hint(pictures: np.ndarray) -> torch.Tensor:
    """Pictures (B, H, W, 3) uint8 or (B, H, W) bool as a ControlNet is shown them: (B, 3, H, W) float32, 0 to 1."""
    if pictures.ndim == 3:
        pictures = np.repeat(255 * pictures[..., None].astype(np.uint8), 3, axis=-1)
    return torch.from_numpy(pictures).movedim(-1, 1).float() / 255

"""Where everything on a head lies, and so the key points and the box that a face detector is asked for.

Head units: the origin is the middle of the face, x to the right as seen, y down, half an average face wide is 1.
"""

import numpy as np

from pocket.world.identity import Identity
from pocket.world.pose import Pose

# What a sample shows; 0 is the scene.
CLOTHES, SKIN, HAIR, FACE = 1, 2, 3, 4
ANGLES = np.linspace(0, 2 * np.pi, 56, endpoint=False)
EYE_LINE, NOSE_LINE, MOUTH_LINE = 0.12, 0.47, 0.78


class Frame:
    """Maps points in units of its own to the picture: turned by `tilt` degrees, enlarged by `unit`, moved to (x, y)."""

    def __init__(self, x: float, y: float, unit: float, tilt: float = 0.0):
        self.unit = unit
        self._origin = np.array([x, y])
        cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
        self._matrix = unit * np.array([[cos, sin], [-sin, cos]])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) points."""
        return np.asarray(points) @ self._matrix + self._origin


class Head:
    """The geometry of one head: `frame` maps head units to the picture."""

    def __init__(self, identity: Identity, pose: Pose):
        self.identity, self.pose = identity, pose
        self.frame = Frame(pose.x, pose.y, pose.face_width / 2, pose.tilt)
        self._yaw = np.radians(pose.yaw)
        self.width = identity.face_width
        self._ball = 1.03 * self.width  # features move on a ball of this radius when the head turns
        self.chin = 1.14 + 0.16 * identity.chin
        self.outline = self._outline()
        eye = 0.43 * identity.eye_distance * (0.5 + 0.5 * self.width)
        self.eyes = [(-eye, EYE_LINE), (eye, EYE_LINE)]
        self.mouth_half = 0.31 * identity.mouth_width * (1 + 0.12 * (pose.smile - 0.5))

    def _outline(self) -> np.ndarray:
        """The bare face: an ellipse above, pointed or square below."""
        cos, sin = np.cos(ANGLES), np.sin(ANGLES)
        below = sin > 0
        power = np.where(below, 1.75 + 0.95 * self.identity.jaw, 2.15)
        x = self.width * np.sign(cos) * np.abs(cos) ** (2 / power)
        y = np.where(below, self.chin, 1.16) * np.sign(sin) * np.abs(sin) ** (2 / power)
        return np.stack([x + 0.05 * np.sin(self._yaw) * (y > 0) * y, y], axis=1)

    def turn(self, points: np.ndarray, share: float = 1.0) -> np.ndarray:
        """Move (..., 2) head points as the head's yaw moves what lies on its front; `share` of it."""
        points = np.array(points, dtype=np.float64)
        angle = np.arcsin(np.clip(points[..., 0] / self._ball, -1, 1))
        points[..., 0] = self._ball * np.sin(np.clip(angle + self._yaw * share, -np.pi / 2, np.pi / 2))
        return points

    def breadth(self, x: float) -> float:
        """How much a feature at `x` narrows (or widens) by the yaw."""
        angle = np.arcsin(np.clip(x / self._ball, -1, 1))
        return float(max(np.cos(angle + self._yaw) / np.cos(angle), 0.3))

    def place(self, points: np.ndarray, share: float = 1.0) -> np.ndarray:
        """Turn head points by the yaw and map them to the picture."""
        return self.frame(self.turn(points, share))

    @property
    def mouth(self) -> np.ndarray:
        """The line of the closed mouth from its left to its right corner as seen, (9, 2) head units before the yaw."""
        x = np.linspace(-1, 1, 9)
        curve = 0.02 + 0.15 * self.pose.smile
        return np.stack([x * self.mouth_half, MOUTH_LINE + curve * (0.6 - x**2)], axis=1)

    @property
    def keypoints(self) -> np.ndarray:
        """Left eye, right eye, nose tip, left and right mouth corner, as seen: (5, 2) shares of the picture."""
        mouth = self.mouth
        return self.place([*self.eyes, (0, NOSE_LINE), mouth[0], mouth[-1]])

    @property
    def box(self) -> np.ndarray:
        """Left, top, right and bottom of the face from the hairline to the chin: (4,) shares of the picture."""
        face = self.frame(self.outline[self.outline[:, 1] > -0.8])
        return np.concatenate([face.min(axis=0), face.max(axis=0)])

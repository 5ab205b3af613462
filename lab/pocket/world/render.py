"""Put scene and person together into a picture with its ground truth."""

from dataclasses import dataclass

import numpy as np

from pocket.world.canvas import Canvas
from pocket.world.caption import caption
from pocket.world.head import CLOTHES, FACE, HAIR, SKIN
from pocket.world.identity import Identity
from pocket.world.person import draw_person
from pocket.world.pose import Pose
from pocket.world.scene import Scene
from pocket.world.scenes import SCENES


@dataclass(frozen=True)
class Picture:
    """A rendered picture of (H, W) pixels. Lengths are pixels; x and y count from the picture's upper left corner.

    pixels: (H, W, 3) uint8, RGB. keypoints: (5, 2) float32: left eye, right eye, nose tip, left and right mouth corner
    as seen (InsightFace's order); they may lie outside. box: (4,) float32: left, top, right and bottom of the face,
    within the picture. The masks are (H, W) float32, the share of each pixel that shows the thing, 0 only where not the
    least of it does: face_mask the face with beard and glasses; head_mask that and the hair; skin_mask ears, neck,
    hands and other bare skin; person_mask all of the person. caption: one plain wording (`caption` has others).
    """

    pixels: np.ndarray
    keypoints: np.ndarray
    box: np.ndarray
    face_mask: np.ndarray
    head_mask: np.ndarray
    skin_mask: np.ndarray
    person_mask: np.ndarray
    caption: str


def render(scene: Scene, pose: Pose, identity: Identity, size: int = 128) -> Picture:
    """Draw `identity` in `pose` in `scene`, `size` pixels a side. The same values give the same picture."""
    canvas = Canvas(size)
    SCENES[scene.kind](canvas, scene, np.random.default_rng(scene.seed))
    canvas.light = scene.light
    head = draw_person(canvas, pose, identity)
    return Picture(
        pixels=canvas.pixels(),
        keypoints=(head.keypoints * size).astype(np.float32),
        box=np.clip(head.box * size, 0, size).astype(np.float32),
        face_mask=canvas.coverage(FACE),
        head_mask=canvas.coverage(FACE, HAIR),
        skin_mask=canvas.coverage(SKIN),
        person_mask=canvas.coverage(CLOTHES, SKIN, HAIR, FACE),
        caption=caption(scene, pose, identity.word),
    )


def render_scene(scene: Scene, size: int = 128) -> np.ndarray:
    """Draw `scene` with nobody in it: (size, size, 3) uint8, RGB."""
    canvas = Canvas(size)
    SCENES[scene.kind](canvas, scene, np.random.default_rng(scene.seed))
    return canvas.pixels()

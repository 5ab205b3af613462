"""Who and what is on the cards: people and scenes of the pocket world that no training has shown."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pocket.hints import COLOURS, NOSE, STICK_BRIGHTNESS, keypoints_picture
from pocket.world.caption import caption
from pocket.world.identity import Identity, sample_identity
from pocket.world.pose import Pose, sample_pose
from pocket.world.render import render
from pocket.world.scene import Scene, sample_scene

SIDE = 128  # pixels of a picture as the models take it
SHARP = 512  # the same picture as a card shows it, where it is the renderer's


@dataclass(frozen=True)
class Drawing:
    """A picture that the renderer draws, of any size."""

    scene: Scene
    pose: Pose
    identity: Identity

    def at(self, side: int) -> Image.Image:
        """The picture, `side` pixels wide and high."""
        return Image.fromarray(render(self.scene, self.pose, self.identity, side).pixels)

    def caption(self, after: str = "", **changes: str) -> str:
        """What a prompt says of it. after: what follows the person's word. changes: to the scene."""
        scene = Scene(**{**vars(self.scene), **changes})
        return caption(scene, self.pose, self.identity.word + after)


@dataclass(frozen=True)
class KeyPoints:
    """The key points of a drawing's face, as a pose ControlNet is shown them."""

    drawing: Drawing

    def at(self, side: int) -> Image.Image:
        """The picture, `side` pixels wide and high: as the model sees it if SIDE, else with lines for a card."""
        shown = self.drawing
        points = render(shown.scene, shown.pose, shown.identity, SIDE).keypoints
        if side == SIDE:
            return Image.fromarray(keypoints_picture(points))
        picture = Image.new("RGB", (side, side))
        pen, reach = ImageDraw.Draw(picture), side / 26
        at = [tuple(side / SIDE * value for value in point) for point in points.tolist()]
        for point, colour in zip(at, COLOURS, strict=True):
            pen.line((at[NOSE], point), tuple(int(STICK_BRIGHTNESS * value) for value in colour), round(reach))
        for (x, y), colour in zip(at, COLOURS, strict=True):
            pen.circle((x, y), reach, colour)
        return picture


def person(number: int, word: str) -> Identity:
    """Someone held out, a "woman" or a "man"."""
    return sample_identity(np.random.default_rng(number), "heldout", word)


def portrait(identity: Identity, kind: str = "mountain", number: int = 0) -> Drawing:
    """A close-up of a person before a kind of scene; another one for another number."""
    rng = np.random.default_rng([7, number])
    return Drawing(sample_scene(rng, "heldout", kind), sample_pose(rng, "close-up", identity.word), identity)

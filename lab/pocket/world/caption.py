"""Say what a prompt would say of a picture: scene, shot, clothes, what the person does. Never the identity."""

import re

import numpy as np

from pocket.world.pose import Pose
from pocket.world.scene import KINDS, Scene

SHOT_WORDS = {
    "full figure": ("full figure picture", "full body picture", "picture from head to toe"),
    "half figure": ("half figure picture", "upper body picture", "picture from the waist up"),
    "close-up": ("close-up", "portrait", "close-up portrait"),
}
GESTURE_WORDS = {
    "standing": ("standing", ""),
    "waving": ("waving", "waving a hand"),
    "hands on hips": ("with hands on hips", "hands on hips"),
    "arms behind": ("with arms behind the back", ""),
}


def caption(scene: Scene, pose: Pose, word: str, rng: np.random.Generator | None = None, neutral: float = 0.15) -> str:
    """One English caption. word: "woman" or "man".

    rng: draws the wording, what is left out, and with the probability `neutral` "person" in place of `word`. Without
    it the caption says everything, always in the same words.
    """

    def pick(options: tuple[str, ...]) -> str:
        return options[0] if rng is None else options[rng.integers(len(options))]

    def maybe(text: str, share: float) -> str:
        return text if rng is None or rng.uniform() < share else ""

    if rng is not None and rng.uniform() < neutral:
        word = "person"
    kind = KINDS[scene.kind]
    where = pick(kind.places).format(weather=maybe(scene.weather, 0.85))
    where = _join(where, maybe(scene.time, 0.85), maybe(f"with {scene.feature}", 0.7))
    shot = pick(SHOT_WORDS[pose.shot])
    clothes = f"{pick(('in', 'wearing'))} {_clothes(pose, maybe)}"
    gesture = maybe(pick(GESTURE_WORDS[pose.gesture]), 0.8) if pose.shot != "close-up" else ""
    order = 0 if rng is None else int(rng.integers(3))
    if order == 0:
        text = _join(f"a {shot} of a {word}", clothes, gesture, where)
    elif order == 1:
        text = _join(f"a {word}", clothes, gesture, where) + f", {shot}"
    else:
        text = _join(f"{where}, a {word}", clothes, gesture) + f", {shot}"
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _clothes(pose: Pose, maybe) -> str:
    striped = "striped " if pose.striped else ""
    pieces = [f"a {striped}{pose.garment_colour} {pose.garment}"]
    if pose.bottom and pose.shot == "full figure":
        colour, bottom = pose.bottom_colour, pose.bottom
        pieces += [maybe(f"a {colour} {bottom}" if bottom == "skirt" else f"{colour} {bottom}", 0.8)]
    if pose.scarf:
        pieces += [maybe(f"a {pose.scarf} scarf", 0.8)]
    pieces = [piece for piece in pieces if piece]
    return pieces[0] if len(pieces) == 1 else ", ".join(pieces[:-1]) + " and " + pieces[-1]

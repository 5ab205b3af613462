"""The pictures that the graphs load: people of the pocket world alone and in twos, and a real photograph."""

import io

import numpy as np
import skimage.data
from PIL import Image

from fuzz.producers import PICTURES
from pocket.world.identity import sample_identity
from pocket.world.pose import sample_pose
from pocket.world.render import render
from pocket.world.scene import sample_scene

SIDE = 128


def person(seed: int) -> np.ndarray:
    """A close-up of someone held out, (SIDE, SIDE, 3) uint8."""
    rng = np.random.default_rng(seed)
    identity = sample_identity(rng, "heldout")
    return render(sample_scene(rng, "heldout"), sample_pose(rng, "close-up", identity.word), identity, SIDE).pixels


def pictures() -> dict[str, bytes]:
    """Every picture as PNG by the name that LoadImage is to know it by."""
    one, other = person(2), person(7)
    arrays = (one, other, np.concatenate([one, other], axis=1), skimage.data.astronaut()[:256, 96:352])
    found = {}
    for name, array in zip(PICTURES, arrays, strict=True):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(array)).save(file, "PNG")
        found[name] = file.getvalue()
    return found

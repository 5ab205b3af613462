"""Face swaps by the pocket world's trained models: people who change sides keep their faces."""

from dataclasses import replace

import folder_paths
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis
from customenhancer.faces.choosing import Wanted
from customenhancer.faces.references import read_references
from customenhancer.faces.swap import Retouch, swap_batch
from customenhancer.faces.swappers import load_face_swapper
from helpers.paths import CHECKOUT
from standins.faces import as_image

from cards.cast import person, portrait
from cards.recipes import BEACH, CITY, MIDDLE
from pocket.world.render import render

FRAMES, TILE = 60, 128
LEFT, RIGHT, NEW = (person(number, word) for number, word in ((4, "woman"), (11, "man"), (15, "man")))
WANTED = Wanted("target_faces", "0", [0], follow=True)


@pytest.fixture(scope="module")
def models():
    weights = CHECKOUT / "lab" / "pocket" / "weights" / "insightface"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(weights)], set()))
        yield load_face_analysis("buffalo_l", "CPU"), load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.fixture(scope="module")
def film():
    """Two people who walk past each other, one above the other: (60, 256, 384, 3)."""
    frames = []
    for number in range(FRAMES):
        share = number / (FRAMES - 1)
        frame = np.full((2 * TILE, 3 * TILE, 3), 200, np.uint8)
        columns = round(2 * TILE * share), round(2 * TILE * (1 - share))
        for row, (identity, scene, left) in enumerate(zip((LEFT, RIGHT), (BEACH, CITY), columns, strict=True)):
            pose = replace(MIDDLE, tilt=10 * np.sin(number / 5 + row))
            frame[row * TILE : (row + 1) * TILE, left : left + TILE] = render(scene, pose, identity, TILE).pixels
        frames.append(as_image(frame))
    return torch.stack(frames)


def swapped(models, film, wanted):
    analysis, swapper = models
    reference = as_image(np.asarray(portrait(NEW, "library").at(TILE)))[None]
    return swap_batch(film, read_references(analysis, reference), analysis, swapper, wanted, Retouch())


def test_two_people_keep_their_identities_in_each_of_60_frames(models, film, measured):
    assert all(len(detect_faces(models[0], frame)) == 2 for frame in film)
    _, masks = swapped(models, film, WANTED)
    above, below = masks[:, :TILE].flatten(1).amax(1) > 0.9, masks[:, TILE:].flatten(1).amax(1) > 0
    measured("frames of 60 in which two people who change sides keep their identities", int((above & ~below).sum()))
    assert above.all() and not below.any()
    _, unfollowed = swapped(models, film[-1:], replace(WANTED, follow=False))
    assert (unfollowed[-1, TILE:] > 0.9).any() and not unfollowed[-1, :TILE].any()  # the leftmost, who is the other

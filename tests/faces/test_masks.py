"""Masks of faces and heads for the rest of a graph."""

import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis
from customenhancer.faces.choosing import Wanted
from customenhancer.faces.masks import PARTS, Shape, face_masks
from customenhancer.faces.outline import face_side
from helpers.faces import GROUP
from skimage import data
from standins.faces import as_image

PERSON, CROWD = as_image(data.astronaut())[None], as_image(GROUP)[None]
PLAIN = torch.full((1, 512, 512, 3), 0.5)


@pytest.fixture(scope="module")
def analysis(all_models):
    return load_face_analysis("buffalo_l", "CPU")


def masks(analysis, images, indices=(0,), no_face="error", **shape):
    wanted = Wanted("faces", "0", None if indices is None else list(indices))
    return face_masks(images, analysis, wanted, Shape(**shape), no_face)


def test_the_head_holds_the_face_and_everything_but_is_the_rest(analysis):
    face, head, rest = (masks(analysis, PERSON, part=part, feather=0.0) for part in PARTS)
    assert (face <= head).all() and head.sum() > 1.4 * face.sum()
    assert torch.equal(rest, 1 - head)
    (found,) = detect_faces(analysis, PERSON[0])
    assert all(face[0, y, x] == 1 for x, y in found.kps.round().astype(int))
    top = np.nonzero(head[0].numpy().any(1))[0][0]
    assert top < found.bbox[1] - 0.1 * face_side(found)


def test_faces_are_chosen_as_in_the_swap(analysis):
    parts = [masks(analysis, CROWD, [index]) for index in range(3)]
    assert torch.equal(masks(analysis, CROWD, None), torch.stack(parts).amax(0))
    assert torch.equal(masks(analysis, CROWD, (2, 0)), torch.maximum(parts[0], parts[2]))
    columns = [(part[0].sum(0) * torch.arange(640)).sum() / part.sum() for part in parts]
    assert columns[0] < columns[1] < columns[2]


def test_growing_and_feathering_are_shares_of_the_face(analysis):
    doubled = torch.nn.functional.interpolate(PERSON.movedim(-1, 1), scale_factor=2, mode="bicubic").clamp(0, 1)
    doubled = doubled.movedim(1, -1)
    for shape in ({"grow": 0.3}, {"grow": -0.1}, {"feather": 0.3}):
        one, two = (masks(analysis, images, **shape) for images in (PERSON, doubled))
        shrunk = torch.nn.functional.avg_pool2d(two[None], 2)[0]
        assert (shrunk - one).abs().mean() < 0.01
    areas = [masks(analysis, PERSON, grow=grow).sum() for grow in (-0.2, 0, 0.2)]
    assert areas[0] < 0.8 * areas[1] < 0.8 * 0.8 * areas[2]


def test_a_picture_without_a_face_is_refused_or_masked_as_none(analysis, caplog):
    images = torch.cat([PERSON, PLAIN])
    with pytest.raises(ValueError, match=r"^image: no face found in picture 1.*masks none in it"):
        masks(analysis, images)
    found = masks(analysis, images, no_face="pass_through")
    assert found[0].any() and not found[1].any()
    assert (
        caplog.messages[-1] == "faces: '0', of which picture 1 of image did not show all. The faces found were masked."
    )
    assert (masks(analysis, images, no_face="pass_through", part="everything but")[1] == 1).all()


def test_values_are_a_masks(analysis):
    for part in PARTS:
        found = masks(analysis, CROWD, None, part=part, grow=0.5, feather=1.0)
        assert found.shape == CROWD.shape[:3] and found.dtype == torch.float32
        assert found.min() >= 0 and found.max() <= 1

"""How far pictures are from their scene: by hand in NumPy, outside the head that is found, or outside a mask."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from customenhancer.faces.scene_distance import HEAD, distances_from_scene, head_masks, scene_distances
from insightface.app.common import Face

BOX = (20.0, 12.0, 36.0, 32.0)  # left, top, right, bottom
HEIGHT, WIDTH = 64, 80


def analysis(*boxes):
    """A FACEANALYSIS that finds the same faces in every picture but black ones."""

    def get(bgr):
        return [Face(bbox=np.array(box)) for box in boxes] if bgr.any() else []

    return SimpleNamespace(get=get, models={})


def pictures(count, seed=0):
    return torch.rand(count, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(seed))


def measured(images, scene, faces=None, mask=None, order="large-small", index=0, no_face="error"):
    return distances_from_scene(images, scene, faces, mask, order, index, no_face)


def by_hand(image, scene, left_out):
    """The root mean square over the pixels, each with its share."""
    squares = ((image.numpy() - scene.numpy()) ** 2).mean(-1)
    return np.sqrt(np.average(squares, weights=1 - left_out))


def head_by_hand(box):
    left, top, right, bottom = box
    aside, above = HEAD * (right - left), HEAD * (bottom - top)
    head = np.zeros((HEIGHT, WIDTH))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            head[y, x] = int(top - above) <= y < round(bottom + above) and int(left - aside) <= x < round(right + aside)
    return head


def test_the_whole_picture_counts_where_nothing_says_what_to_leave_out():
    images, scene = pictures(3), pictures(3, seed=1)
    values, where = measured(images, scene)
    expected = [by_hand(*pair, np.zeros((HEIGHT, WIDTH))) for pair in zip(images, scene, strict=True)]
    assert values == pytest.approx(expected, abs=1e-6) and where.startswith("of the whole picture")
    assert measured(images, images)[0] == [0, 0, 0]
    black, white = torch.zeros(1, HEIGHT, WIDTH, 3), torch.ones(1, HEIGHT, WIDTH, 3)
    assert measured(black, white)[0] == [1]


def test_the_box_around_the_head_is_left_out():
    images, scene = pictures(2), pictures(2, seed=1)
    values, where = measured(images, scene, analysis(BOX))
    head = head_by_hand(BOX)
    assert torch.equal(head_masks(analysis(BOX), scene, "large-small", 0, "error")[1], torch.from_numpy(head).float())
    expected = [by_hand(*pair, head) for pair in zip(images, scene, strict=True)]
    assert values == pytest.approx(expected, abs=1e-6) and where == "outside the head"
    inside = torch.where(torch.from_numpy(head)[..., None] > 0, images, scene)
    assert measured(inside, scene, analysis(BOX))[0] == [0, 0]


@pytest.mark.parametrize("box", [(-9.0, -9.0, 8.0, 8.0), (70.0, 50.0, 90.0, 70.0), (-30.0, -30.0, -20.0, -20.0)])
def test_a_head_may_reach_out_of_the_picture(box):
    images, scene = pictures(1), pictures(1, seed=1)
    head = head_by_hand(box)
    assert torch.equal(head_masks(analysis(box), scene, "large-small", 0, "error")[0], torch.from_numpy(head).float())
    expected = by_hand(images[0], scene[0], head)
    assert measured(images, scene, analysis(box))[0] == pytest.approx([expected], abs=1e-6)


def test_which_face_is_left_out_can_be_chosen():
    images, scene, small = pictures(1), pictures(1, seed=1), (60.0, 40.0, 66.0, 48.0)
    for order, index, box in (("large-small", 0, BOX), ("large-small", 1, small), ("left-right", 1, small)):
        values, _ = measured(images, scene, analysis(small, BOX), order=order, index=index)
        assert values == pytest.approx([by_hand(images[0], scene[0], head_by_hand(box))], abs=1e-6)


def test_a_mask_is_left_out_by_its_share_and_goes_before_a_face():
    images, scene = pictures(2), pictures(2, seed=1)
    masks = torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    masks[1, :, :40] = 1
    values, where = measured(images, scene, analysis(BOX), masks)
    expected = [by_hand(one, other, mask.numpy()) for one, other, mask in zip(images, scene, masks, strict=True)]
    assert values == pytest.approx(expected, abs=1e-6) and where == "outside mask"


def test_one_scene_and_one_mask_serve_a_whole_batch():
    images, scene, mask = pictures(3), pictures(1, seed=1), (pictures(1, seed=2)[..., 0] > 0.5).float()
    for more in ({}, {"mask": mask}, {"faces": analysis(BOX)}):
        values, _ = measured(images, scene, **more)
        assert values == measured(images, scene.expand(3, -1, -1, -1), **more)[0]
        assert values == [measured(image[None], scene, **more)[0][0] for image in images]
    assert measured(images, scene, mask=mask)[0] == measured(images, scene, mask=mask[0])[0]  # (H, W)


def test_a_scene_without_a_face_is_refused_or_counts_as_a_whole_and_it_says_so():
    images, scene = pictures(3), torch.cat([pictures(2, seed=1), torch.zeros(1, HEIGHT, WIDTH, 3)])
    with pytest.raises(ValueError, match="^scene: no face found in picture 2.*which compares the whole picture"):
        measured(images, scene, analysis(BOX))
    values, where = measured(images, scene, analysis(BOX), no_face="pass_through")
    assert values[2] == pytest.approx(by_hand(images[2], scene[2], np.zeros((HEIGHT, WIDTH))), abs=1e-6)
    assert values[:2] == measured(images[:2], scene[:2], analysis(BOX))[0]
    assert where == "outside the head, the whole of picture 2 of scene, where no face was found"


def test_where_nothing_is_left_to_compare_it_is_refused():
    images = pictures(2)
    with pytest.raises(ValueError, match="^scene: the head fills picture 0"):
        measured(images, images, analysis((0.0, 0.0, 80.0, 64.0)))
    masks = torch.zeros(2, HEIGHT, WIDTH)
    masks[1] = 1
    with pytest.raises(ValueError, match="^mask: its mask 1 covers the whole picture"):
        measured(images, images, mask=masks)


@pytest.mark.parametrize("count", [2, 4])
def test_a_count_that_does_not_fit_is_refused(count):
    images = pictures(3)
    with pytest.raises(ValueError, match=f"^scene: {count} for 3 in image"):
        measured(images, pictures(count))
    with pytest.raises(ValueError, match=f"^mask: {count} for 3 in image"):
        measured(images, images, mask=torch.zeros(count, HEIGHT, WIDTH))


def test_another_size_is_refused_with_both():
    images = pictures(1)
    with pytest.raises(ValueError, match="^scene: is 80 x 32, and image 80 x 64"):
        measured(images, images[:, :32])
    with pytest.raises(ValueError, match="^mask: is 40 x 64, and image 80 x 64"):
        measured(images, images, mask=torch.zeros(1, HEIGHT, 40))


def test_alpha_does_not_count_and_half_precision_is_measured_in_single():
    images, scene = pictures(2), pictures(2, seed=1)
    alpha = torch.cat([images, pictures(2, seed=5)[..., :1]], dim=-1)
    assert scene_distances(alpha, scene) == scene_distances(images, scene)
    half = images.half()
    assert scene_distances(half, scene) == scene_distances(half.float(), scene)

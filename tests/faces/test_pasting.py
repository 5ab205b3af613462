"""How a redrawn face comes back: where, how softly, in which colours."""

import cv2
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import detect_faces, load_face_analysis
from customenhancer.faces.outline import face_outline, head_outline, inside_of, ramp
from customenhancer.faces.pasting import Pasting, fitted_masks, match_colours
from customenhancer.faces.swap import Retouch, swap_faces
from customenhancer.faces.swappers import load_face_swapper
from helpers.faces import swap
from insightface.app.common import Face
from skimage import color, data
from standins.faces import ASTRONAUT_FACE, as_image, random_picture, upright_face

SCENE = as_image(random_picture(3, 512, 512))
PERSON = as_image(data.astronaut())
ON_FACE = Retouch(Pasting("face"))


@pytest.fixture(scope="module")
def analysis(all_models):
    return load_face_analysis("buffalo_l", "CPU")


@pytest.fixture(scope="module")
def swapper(all_models):
    return load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.fixture(scope="module")
def source(analysis):
    (source,) = detect_faces(analysis, PERSON)
    return source


def plain_face(fixture, side=512):
    """A Face with nothing but its box and its five points."""
    return Face(bbox=np.array(fixture.box) * side, kps=np.array(fixture.points, np.float32) * side)


def turned(face, degrees, centre=(256, 200)):
    matrix = cv2.getRotationMatrix2D(centre, degrees, 1)
    points = cv2.transform(np.asarray(face.kps, np.float32)[None], matrix)[0]
    return Face(bbox=face.bbox, kps=points)


class TestOutline:
    def test_five_points_place_an_oval_around_them_that_leaves_the_hair_out(self):
        face = plain_face(ASTRONAUT_FACE)
        inside, head = (inside_of(outline(face), 512, 512) for outline in (face_outline, head_outline))
        assert all(inside[y, x] for x, y in face.kps.round().astype(int))
        assert (inside <= head).all() and 1.5 * inside.sum() < head.sum()
        left, top, right, bottom = face.bbox
        assert 0.7 < inside.sum() / ((right - left) * (bottom - top)) < 1.2

    @pytest.mark.parametrize("degrees", [30, -90, 180])
    def test_it_turns_with_the_face(self, degrees):
        face = plain_face(upright_face(0.5, 0.39, 0.2))
        matrix = cv2.getRotationMatrix2D((256, 200), degrees, 1)
        for outline in (face_outline, head_outline):
            expected = cv2.transform(outline(face)[None], matrix)[0]
            found = outline(turned(face, degrees))
            overlap = inside_of(expected, 512, 512) & inside_of(found, 512, 512)
            assert overlap.sum() > 0.97 * inside_of(expected, 512, 512).sum()

    def test_landmarks_are_used_where_the_pack_has_them(self, analysis):
        (face,) = detect_faces(analysis, PERSON)
        assert face.landmark_2d_106.shape == (106, 2) and face.landmark_3d_68.shape == (68, 3)
        bare = Face(bbox=face.bbox, kps=face.kps)
        assert not np.array_equal(face_outline(face), face_outline(bare))
        inside = inside_of(face_outline(face), 512, 512)
        grown = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8))
        assert all(grown[y, x] for x, y in face.landmark_2d_106.round().astype(int))

    def test_of_68_landmarks_as_of_106(self, analysis):
        (face,) = detect_faces(analysis, PERSON)
        fewer = Face(bbox=face.bbox, kps=face.kps, landmark_3d_68=face.landmark_3d_68)
        one, other = (inside_of(face_outline(each), 512, 512) for each in (face, fewer))
        assert (one & other).sum() > 0.95 * (one | other).sum()

    def test_landmarks_that_make_no_sense_are_left_aside(self):
        face = plain_face(ASTRONAUT_FACE)
        for odd in (np.full((106, 2), np.nan), np.zeros((4, 2)), None, "none"):
            spoilt = Face(bbox=face.bbox, kps=face.kps, landmark_2d_106=odd)
            np.testing.assert_array_equal(face_outline(spoilt), face_outline(face))


class TestRamp:
    def test_it_rises_over_its_width_with_the_edge_in_the_middle(self):
        inside = np.zeros((101, 101), bool)
        inside[20:81, 20:81] = True
        row = ramp(inside, 10)[50]
        assert not row[:14].any() and (np.diff(row[14:51]) >= 0).all() and (row[26:75] == 1).all()
        assert 0.3 < row[19] < 0.5 < row[20] < 0.7

    def test_growing_moves_the_edge(self):
        inside = inside_of(np.float32([[30, 30], [70, 30], [70, 70], [30, 70]]), 101, 101)
        widths = [(ramp(inside, 1, grow)[50] > 0.5).sum() for grow in (-10, 0, 10)]
        assert widths[1] - widths[0] == pytest.approx(20, abs=2) == widths[2] - widths[1]

    def test_what_is_inside_goes_on_beyond_the_picture(self):
        assert (ramp(np.ones((40, 40), bool), 10) == 1).all()
        assert not ramp(np.zeros((40, 40), bool), 10, 5).any()


class TestPlaces:
    @pytest.mark.parametrize("size", [(512, 512), (300, 451), (1024, 700)])
    def test_the_face_is_pasted_and_every_other_pixel_keeps_its_bits(self, analysis, swapper, source, size):
        scene = as_image(random_picture(3, *size)) * 0.9973
        (target,) = detect_faces(analysis, scene)
        swapped, mask = swap(scene, [target], [source], swapper, ON_FACE)
        assert torch.equal(swapped[mask == 0], scene[mask == 0])
        assert all(mask[y, x] > 0.9 for x, y in target.kps.round().astype(int))
        _, sharp = swap(scene, [target], [source], swapper, Retouch(Pasting("face", 0.0)))
        outside = ~inside_of(face_outline(target), *size)
        assert sharp.numpy()[outside].mean() < 0.001 < mask.numpy()[outside].mean()
        assert mask.sum() == pytest.approx(sharp.sum().item(), rel=0.1)

    def test_inside_it_is_the_box_paste_up_to_parts_of_a_pixel(self, analysis, swapper, source):
        (target,) = detect_faces(analysis, SCENE)
        (on_face, mask), (boxed, box) = (
            swap(SCENE, [target], [source], swapper, retouch) for retouch in (ON_FACE, Retouch(Pasting("box")))
        )
        both = (mask > 0.999) & (box > 0.999)
        assert both.sum() > 1000 and (on_face - boxed)[both].abs().mean() < 0.004

    def test_the_border_is_a_share_of_the_face(self, analysis, swapper, source):
        widths = []
        for side in (400, 800):
            scene = as_image(random_picture(3, side, side))
            (target,) = detect_faces(analysis, scene)
            _, mask = swap(scene, [target], [source], swapper, Retouch(Pasting("face", feather=0.2)))
            widths.append(((mask > 0) & (mask < 0.999)).sum() / (mask > 0).sum())
        assert widths[0] == pytest.approx(widths[1].item(), rel=0.1)

    def test_a_mask_decides(self, analysis, swapper, source):
        (target,) = detect_faces(analysis, SCENE)
        x, y = target.kps[2].round().astype(int)
        given = np.zeros((512, 512), np.float32)
        given[:, :x] = 1
        identities = [source.normed_embedding]
        swapped, mask = swap_faces(SCENE, [target], identities, swapper, Retouch(Pasting("mask", 0.0)), given)
        assert not mask[:, x:].any() and mask[y, x - 20] == 1
        assert torch.equal(swapped[mask == 0], SCENE[mask == 0])
        _, soft = swap_faces(SCENE, [target], identities, swapper, Retouch(Pasting("mask", 0.0)), given * 0.5)
        torch.testing.assert_close(soft, mask * 0.5)

    def test_a_thin_mask_is_still_pasted_in_its_middle(self, analysis, swapper, source):
        (target,) = detect_faces(analysis, SCENE)
        x, y = target.kps[2].round().astype(int)
        given = np.zeros((512, 512), np.float32)
        given[y - 4 : y + 5, x - 40 : x + 40] = 1
        _, mask = swap_faces(SCENE, [target], [source.normed_embedding], swapper, Retouch(Pasting("mask")), given)
        assert mask[y, x] > 0.95 and not mask.numpy()[given == 0].any()

    @pytest.mark.parametrize("where", ["face", "mask"])
    @pytest.mark.parametrize(("x", "y", "width"), [(0, 60, 80), (255, 255, 120), (128, 128, 3), (-300, 128, 40)])
    def test_faces_at_the_edge_tiny_or_out_of_the_picture(self, swapper, source, where, x, y, width):
        target = plain_face(upright_face(x / 256, y / 256, width / 256), 256)
        scene = as_image(random_picture(4, 256, 256))
        given = np.ones((256, 256), np.float32)
        swapped, mask = swap_faces(
            scene, [target], [source.normed_embedding], swapper, Retouch(Pasting(where, colours="Lab")), given
        )
        assert torch.isfinite(swapped).all() and swapped.min() >= 0 and swapped.max() <= 1
        assert torch.equal(swapped[mask == 0], scene[mask == 0])
        assert (mask.max() > 0) == (x > -300 and width > 3) or width == 3


class TestGivenMasks:
    IMAGES = torch.zeros(2, 60, 80, 3)

    def test_none_is_read_unless_it_is_wanted(self):
        assert fitted_masks("face", torch.zeros(3, 4, 4), self.IMAGES) == [None, None]

    def test_one_serves_all_and_another_size_is_scaled(self):
        half = torch.zeros(1, 30, 40)
        half[:, :, :20] = 1
        first, second = fitted_masks("mask", half, self.IMAGES)
        np.testing.assert_array_equal(first, second)
        assert first.shape == (60, 80) and (first[:, :38] == 1).all() and not first[:, 42:].any()

    def test_one_for_each_in_order(self):
        masks = torch.stack([torch.ones(60, 80), torch.zeros(60, 80)])
        first, second = fitted_masks("mask", masks, self.IMAGES)
        assert (first == 1).all() and not second.any()

    @pytest.mark.parametrize(
        ("masks", "message"),
        [
            (None, "paste_mask: is not connected, and paste is mask"),
            (torch.zeros(1, 60, 80), "paste_mask: is 0 everywhere"),
            (torch.ones(3, 60, 80), "paste_mask: holds 3 masks for the 2 pictures of image"),
        ],
    )
    def test_what_cannot_be_used_is_refused(self, masks, message):
        with pytest.raises(ValueError, match=f"^{message}"):
            fitted_masks("mask", masks, self.IMAGES)


class TestColours:
    def test_mean_and_deviation_in_lab_are_those_of_what_is_replaced(self):
        """By scikit-image's Lab, not OpenCV's."""
        random = np.random.default_rng(2)
        drawn, before = (random.uniform(*limits, (64, 64, 3)).astype(np.float32) for limits in ((0.3, 0.6), (0.4, 0.8)))
        weights = np.zeros((64, 64), np.float32)
        weights[16:48, 16:48] = 1
        inside = weights > 0
        matched = match_colours(drawn, before, weights)
        found, wanted = (color.rgb2lab(each)[inside] for each in (matched, before))
        np.testing.assert_allclose(found.mean(0), wanted.mean(0), atol=0.6)
        np.testing.assert_allclose(found.std(0), wanted.std(0), rtol=0.1)

    def test_a_face_of_the_same_colours_stays_as_it_is(self):
        picture = np.random.default_rng(2).uniform(0.2, 0.8, (64, 64, 3)).astype(np.float32)
        np.testing.assert_allclose(match_colours(picture, picture, np.ones((64, 64), np.float32)), picture, atol=5e-3)

    def test_nothing_is_done_where_nothing_is_replaced(self):
        drawn = np.zeros((8, 8, 3), np.float32)
        assert match_colours(drawn, drawn + 1, np.zeros((8, 8), np.float32)) is drawn

    def test_in_the_picture(self, analysis, swapper, source):
        (target,) = detect_faces(analysis, SCENE)
        pale = SCENE * 0.3 + 0.35
        plain, mask = swap(pale, [target], [source], swapper, ON_FACE)
        matched, _ = swap(pale, [target], [source], swapper, Retouch(Pasting("face", colours="Lab")))
        lab = [color.rgb2lab(each.numpy())[mask.numpy() > 0.9] for each in (plain, matched, pale)]
        off = [np.abs(each.std(0) - lab[2].std(0)).sum() for each in lab]
        assert off[1] < 0.3 * off[0]
        assert torch.equal(matched[mask == 0], pale[mask == 0])

"""Key-point pictures: drawn as IdentityNet knows them, from a face or taken as they are."""

import io

import cv2
import folder_paths
import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import find_face, load_face_analysis
from customenhancer.faces.keypoints import draw_keypoints, keypoints_of
from customenhancer.nodes.faces import FaceKeypointsNode
from helpers.faces import insightface_folder
from PIL import Image
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, make_face_models, random_picture, upright_face

GROUP = random_picture(1, 480, 640)
PICTURES = [
    FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
    FixturePicture(GROUP, (upright_face(0.2, 0.5, 0.16), upright_face(0.6, 0.3, 0.2))),
]
POINTS = np.array([[500.3, 400.6], [700.1, 410.9], [610.7, 520.2], [530.5, 640.8], [690.4, 650.1]])


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    folder = make_face_models(tmp_path_factory.mktemp("models"), PICTURES)
    with insightface_folder(folder):
        return load_face_analysis("antelopev2", "CPU")


def at(picture, point) -> list[int]:
    x, y = (int(value) for value in point)
    return (picture[y, x] * 255).round().int().tolist()


def test_each_point_is_a_disc_of_radius_10_in_its_own_colour():
    drawn = draw_keypoints(POINTS, 1280, 1280)
    assert drawn.shape == (1280, 1280, 3)
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255]]
    assert [at(drawn, point) for point in POINTS] == colours
    for point in POINTS[:2] - POINTS[2] + POINTS[2]:
        away = [at(drawn, point + step) for step in ([0, -9], [0, -13], [-9, 0], [-13, 0])]
        assert away[0] == away[2] == at(drawn, point) and away[1] == away[3] == [0, 0, 0]


def test_sticks_to_the_nose_are_dimmed_and_have_the_colour_of_their_outer_end():
    drawn = draw_keypoints(POINTS, 1280, 1280)
    for point, colour in zip(
        POINTS[[0, 1, 3, 4]], ([153, 0, 0], [0, 153, 0], [153, 153, 0], [153, 0, 153]), strict=True
    ):
        assert at(drawn, (point + POINTS[2]) / 2) == colour


def test_it_is_the_same_picture_as_by_the_published_recipe():
    """Ellipses of half the length by 4, each dimmed by 0.6 with all others; discs over them."""
    canvas = np.zeros((1280, 1280, 3))
    for end, colour in ((0, (255, 0, 0)), (1, (0, 255, 0)), (3, (255, 255, 0)), (4, (255, 0, 255))):
        (x0, y0), (x1, y1) = POINTS[end], POINTS[2]
        length = ((x0 - x1) ** 2 + (y0 - y1) ** 2) ** 0.5
        angle = int(np.rad2deg(np.arctan2(y0 - y1, x0 - x1)))
        stick = cv2.ellipse2Poly((int((x0 + x1) / 2), int((y0 + y1) / 2)), (int(length / 2), 4), angle, 0, 360, 1)
        cv2.fillConvexPoly(canvas, stick, colour)
    canvas = np.floor(canvas * 0.6)
    for (x, y), colour in zip(
        POINTS, ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)), strict=True
    ):
        cv2.circle(canvas, (int(x), int(y)), 10, colour, -1)
    assert torch.equal(draw_keypoints(POINTS, 1280, 1280), torch.from_numpy(canvas).float() / 255)


def test_the_pictures_own_size_does_not_matter():
    large = draw_keypoints(POINTS * 4, 1280 * 4, 1280 * 4)
    small = draw_keypoints(POINTS / 4, 320, 320)
    assert large.shape == small.shape and torch.equal(large, small)
    assert draw_keypoints(POINTS / 2, 640, 480).shape == (1280, 960, 3)
    assert draw_keypoints(POINTS / 2, 480, 640).shape == (960, 1280, 3)


def test_points_outside_the_picture_and_on_the_nose_are_drawn_without_fault():
    drawn = draw_keypoints(np.array([[-50.0, -9], [700, 3], [610, 520], [610, 520], [2000, 2000]]), 1280, 1280)
    assert drawn.isfinite().all() and drawn.any()


def test_the_chosen_face_of_each_photograph_is_drawn(analysis):
    pictures = as_image(GROUP)[None]
    for order, index in (("left-right", 0), ("left-right", 1), ("large-small", 0)):
        face = find_face(analysis, pictures[0], order, index)
        expected = draw_keypoints(face.kps, 480, 640)
        assert torch.equal(keypoints_of("keypoints_image", pictures, analysis, order, index)[0], expected)


def test_a_key_point_picture_is_taken_as_it_is(analysis):
    drawn = draw_keypoints(POINTS, 1280, 1280)[None]
    assert torch.equal(keypoints_of("keypoints_image", drawn, analysis, "large-small", 0), drawn)
    with_alpha = torch.cat([drawn, torch.ones_like(drawn[..., :1])], dim=-1)
    assert torch.equal(keypoints_of("keypoints_image", with_alpha, analysis, "large-small", 0), drawn)


@pytest.mark.parametrize("size", [1280, 512, 256])
@pytest.mark.parametrize("quality", [None, 75])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_key_point_picture_that_was_scaled_and_compressed_is_known(analysis, size, quality, share):
    """share: of the distances between the points, for a face that is far away."""
    points = POINTS.mean(0) + share * (POINTS - POINTS.mean(0))
    drawn = as_photograph(draw_keypoints(points, 1280, 1280), size, quality)
    assert torch.equal(keypoints_of("image", drawn[None], analysis, "large-small", 0)[0], drawn)


def as_photograph(picture, size, quality):
    picture = Image.fromarray((picture.numpy() * 255).round().astype(np.uint8)).resize((size, size), Image.BILINEAR)
    if quality is not None:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        picture = Image.open(file)
    return as_image(np.array(picture))


def night(kind):
    """A picture that is mostly black without being drawn, (512, 512, 3)."""
    generator = torch.Generator().manual_seed(1)
    scene = torch.zeros(512, 512, 3)
    if kind == "lamps":
        scene[100:140, 100:140] = torch.tensor([1.0, 0.9, 0.6])
        scene[300:340, 200:240] = torch.tensor([0.6, 0.7, 1.0])
    elif kind == "one red light":
        scene[100:140, 100:140, 0] = 1
    elif kind == "dim lights of many colours":
        scene[:100] = torch.rand(100, 512, 3, generator=generator) * 0.29
    elif kind == "a window":
        scene[100:250, 100:250] = torch.rand(150, 150, 3, generator=generator)
    return scene


@pytest.mark.parametrize("kind", ["lamps", "one red light", "dim lights of many colours", "a window"])
def test_a_photograph_at_night_is_no_key_point_picture(analysis, kind):
    with pytest.raises(ValueError, match=r"^image: no face found in picture 0, and it is not a key-point picture"):
        keypoints_of("image", night(kind)[None], analysis, "large-small", 0)


def test_stars_are_no_key_points(analysis):
    with pytest.raises(ValueError, match=r"^image: no face found in picture 0, and it is not a key-point picture"):
        keypoints_of("image", as_image(data.hubble_deep_field())[None], analysis, "large-small", 0)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_picture_without_face_or_points_is_refused(analysis, value):
    with pytest.raises(ValueError, match=r"^keypoints_image: no face found in picture 1, and it is not a key-point"):
        pictures = torch.stack([as_image(data.astronaut()), torch.full((512, 512, 3), value)])
        keypoints_of("keypoints_image", pictures, analysis, "large-small", 0)


@pytest.mark.parametrize("index", [-1, -9])
def test_faces_are_not_counted_from_the_end(analysis, index):
    with pytest.raises(ValueError, match=rf"^image: no face number {index}, counted from 0, found in picture 0"):
        keypoints_of("image", as_image(GROUP)[None], analysis, "large-small", index)


def test_a_face_that_is_not_there_is_named(analysis):
    with pytest.raises(ValueError, match=r"^keypoints_image: no face number 3, counted from 0, found in picture 0"):
        keypoints_of("keypoints_image", as_image(GROUP)[None], analysis, "large-small", 3)


def test_photographs_and_key_point_pictures_of_two_sizes_are_refused(analysis):
    drawn = torch.nn.functional.interpolate(draw_keypoints(POINTS, 1280, 1280).movedim(-1, 0)[None], 512)[0]
    mixed = torch.stack([as_image(data.astronaut()), drawn.movedim(0, -1)])
    with pytest.raises(ValueError, match=r"^keypoints_image: mixes photographs and key-point pictures"):
        keypoints_of("keypoints_image", mixed, analysis, "large-small", 0)


class TestNode:
    @pytest.fixture(autouse=True)
    def previews(self, tmp_path):
        """The host's folder for previews."""
        before = folder_paths.get_temp_directory()
        folder_paths.set_temp_directory(str(tmp_path))
        yield tmp_path
        folder_paths.set_temp_directory(before)

    def test_it_draws_the_chosen_face_of_each_picture_and_shows_it(self, analysis, previews):
        pictures = as_image(GROUP)[None].repeat(2, 1, 1, 1)
        before = pictures.clone()
        drawn = {}
        for order, index in (("left-right", 0), ("left-right", 1), ("right-left", 0)):
            output = FaceKeypointsNode.execute(pictures, analysis, image_order=order, image_face=index)
            drawn[order, index] = output.result[0]
            expected = draw_keypoints(find_face(analysis, pictures[0], order, index).kps, 480, 640)
            assert len(output.result[0]) == 2 and all(torch.equal(picture, expected) for picture in output.result[0])
            shown = output.ui.as_dict()["images"]
            assert [(previews / picture["filename"]).is_file() for picture in shown] == [True] * 2
        assert not torch.equal(drawn["left-right", 0], drawn["left-right", 1])
        assert torch.equal(drawn["left-right", 1], drawn["right-left", 0])
        assert torch.equal(pictures, before)

    def test_the_points_lie_within_the_face(self, analysis):
        """Of a picture of 512 pixels, drawn at 1280."""
        photograph = as_image(data.astronaut())
        (drawn,) = FaceKeypointsNode.execute(photograph[None], analysis).result[0]
        left, top, right, bottom = find_face(analysis, photograph).bbox * 1280 / 512
        y, x = torch.nonzero(drawn.any(dim=-1), as_tuple=True)
        assert left <= x.min() and x.max() <= right and top <= y.min() and y.max() <= bottom

    def test_what_it_draws_it_takes_as_it_is(self, analysis):
        drawn = FaceKeypointsNode.execute(as_image(data.astronaut())[None], analysis).result[0]
        assert torch.equal(FaceKeypointsNode.execute(drawn, analysis).result[0], drawn)

    def test_errors_name_its_own_input(self, analysis):
        with pytest.raises(ValueError, match=r"^image: no face found in picture 0"):
            FaceKeypointsNode.execute(torch.zeros(1, 512, 512, 3), analysis)
        with pytest.raises(ValueError, match=r"^image: no face number 2, counted from 0, found in picture 0"):
            FaceKeypointsNode.execute(as_image(GROUP)[None], analysis, image_face=2)

"""Face Swap on frames in which faces come and go: what is there is swapped, the count of pictures and masks stays."""

import pytest
import torch
from customenhancer.faces.analysis import load_face_analysis
from customenhancer.faces.swappers import load_face_swapper
from helpers.faces import face_swap, insightface_folder
from skimage import data
from standins.faces import ASTRONAUT_FACE, FixturePicture, as_image, make_face_models, random_picture, upright_face

THREE, TWO = random_picture(1, 512, 512), random_picture(2, 512, 512)
PLACES = (upright_face(0.2, 0.5, 0.16), upright_face(0.5, 0.25, 0.2), upright_face(0.8, 0.6, 0.12))
FRAMES = torch.stack(
    [
        as_image(THREE),
        as_image(data.astronaut()),
        torch.full((512, 512, 3), 0.5),
        as_image(TWO),
    ]
)
COUNTS = [3, 1, 0, 2]  # of the faces in FRAMES
GROUP, PERSON = FRAMES[:1], FRAMES[1:2]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    pictures = [
        FixturePicture(data.astronaut(), (ASTRONAUT_FACE,)),
        FixturePicture(THREE, PLACES),
        FixturePicture(TWO, PLACES[:2]),
    ]
    with insightface_folder(make_face_models(tmp_path_factory.mktemp("models"), pictures)):
        return load_face_analysis("buffalo_l", "CPU"), load_face_swapper("inswapper_128.onnx", "CPU")


@pytest.fixture
def swap(loaded, caplog):
    """The node's pictures and masks, and the warnings that it logged."""

    def run(images, reference, **choices):
        caplog.clear()
        image, mask = face_swap(images, reference, *loaded, **choices).result
        return image, mask, [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    return run


def test_each_frame_is_swapped_as_far_as_it_has_faces(swap):
    image, mask, warnings = swap(FRAMES, PERSON, target_faces="0,1", no_face="pass_through")
    assert image.shape == FRAMES.shape and mask.shape == FRAMES.shape[:3]
    assert warnings == [
        "target_faces: '0,1', of which pictures 1, 2 of image did not show all. The faces found were swapped."
    ]
    for number, count in enumerate(COUNTS):
        if not count:
            assert torch.equal(image[number], FRAMES[number]) and not mask[number].any()
            continue
        there = ",".join(map(str, range(min(count, 2))))
        alone, alone_mask, _ = swap(FRAMES[number : number + 1], PERSON, target_faces=there)
        assert torch.equal(image[number], alone[0]) and torch.equal(mask[number], alone_mask[0])


def test_all_is_every_face_of_each_frame(swap):
    image, mask, warnings = swap(FRAMES, PERSON, target_faces=" All ", no_face="pass_through")
    assert warnings == [
        "target_faces: ' All ', of which picture 2 of image did not show all. The faces found were swapped."
    ]
    for number, count in enumerate(COUNTS):
        if count:
            numbers = ",".join(map(str, range(count)))
            alone, alone_mask, said = swap(FRAMES[number : number + 1], PERSON, target_faces=numbers)
            assert torch.equal(image[number], alone[0]) and torch.equal(mask[number], alone_mask[0]) and not said


def test_several_references_go_to_all_faces_by_position(swap):
    image, _, warnings = swap(FRAMES, GROUP, target_faces="all", reference_faces="2,0", no_face="pass_through")
    assert [warning.partition(",")[0] for warning in warnings] == ["target_faces: 'all'", "reference_faces: '2"]
    assert "fewer than the faces in picture 0 of image. The other faces were left unchanged." in warnings[1]
    for number, (targets, sources) in {0: ("0,1", "2,0"), 1: ("0", "2"), 3: ("0,1", "2,0")}.items():
        alone, _, _ = swap(FRAMES[number : number + 1], GROUP, target_faces=targets, reference_faces=sources)
        assert torch.equal(image[number], alone[0])


def test_a_reference_stays_with_its_target_where_an_earlier_target_is_missing(swap):
    image, _, _ = swap(PERSON, GROUP, target_faces="1,0", reference_faces="2,0", no_face="pass_through")
    expected, _, _ = swap(PERSON, GROUP, target_faces="0", reference_faces="0")
    assert torch.equal(image, expected)


@pytest.mark.parametrize(
    ("frames", "choices", "message"),
    [
        (
            [0, 1],
            {"target_faces": "0,1"},
            r"^target_faces: index 1 is out of range: picture 1 of image has 1 face.*pass_",
        ),
        ([0, 2], {"target_faces": "all"}, r"^image: no face found in picture 1.*pass_through"),
        (
            [0],
            {"target_faces": "every"},
            r"^target_faces: 'every' is not a list of face indices.* such as 0,2, or all\.$",
        ),
        ([0], {"reference_faces": "all"}, r"^reference_faces: 'all' is not a list of face indices.* such as 0,2\.$"),
        (
            [3, 0],
            {"target_faces": "all", "reference_faces": "0,1"},
            r"^reference_faces: 2 indices for the 3 faces in picture 1 of image.*pass_through",
        ),
    ],
)
def test_error_stops_where_something_is_missing(swap, frames, choices, message):
    with pytest.raises(ValueError, match=message):
        swap(FRAMES[frames], GROUP, **choices)


@pytest.mark.parametrize("no_face", ["error", "pass_through"])
def test_where_nothing_is_missing_nothing_is_said_and_a_spare_reference_does_no_harm(swap, no_face):
    frames = FRAMES[[1, 3]]
    for choices in (
        {"target_faces": "0"},
        {"target_faces": "all"},
        {"target_faces": "all", "reference_faces": "0,1,2"},
    ):
        image, _, warnings = swap(frames, GROUP, **choices, no_face=no_face)
        assert not warnings and (image != frames).flatten(1).any(dim=1).all()


def test_a_missing_reference_stops_whatever_the_policy(swap):
    with pytest.raises(
        ValueError, match=r"^reference_faces: index 3 is out of range: reference has 3 .*Choose 0 to 2\.$"
    ):
        swap(FRAMES, GROUP, target_faces="all", reference_faces="3", no_face="pass_through")


def test_a_warning_names_twenty_pictures_and_counts_the_rest(swap):
    frames = FRAMES[2:3].expand(23, -1, -1, -1)
    assert (
        "pictures 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 3 more of image"
        in (swap(frames, PERSON, no_face="pass_through")[2][0])
    )

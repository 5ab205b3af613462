"""The pocket world's renderer: one picture for one set of values, splits that never meet, ground truth that fits."""

import dataclasses
import re
from itertools import islice, pairwise, product

import numpy as np
import pytest

from pocket import examples
from pocket.world import colours
from pocket.world import identity as people
from pocket.world.canvas import Canvas
from pocket.world.caption import caption
from pocket.world.identity import Identity, sample_identity
from pocket.world.pose import CLOSE_UP, HALF_FIGURE, SHOTS, Pose, sample_pose
from pocket.world.render import render, render_scene
from pocket.world.scene import KINDS, Scene, sample_scene

EVERY_SCENE = [
    Scene(name, *values, seed=number)
    for name, kind in KINDS.items()
    for number, values in enumerate(product(kind.times, kind.weathers, kind.features))
]


def rng(seed=0):
    return np.random.default_rng(seed)


def some_examples(count=24):
    return [examples.example(number, seed=1) for number in range(count)]


def test_the_same_values_give_the_same_picture_and_another_seed_another():
    for values in some_examples(4):
        first, again = render(*values), render(*values)
        for field in dataclasses.fields(first):
            assert np.array_equal(getattr(first, field.name), getattr(again, field.name)), field.name
        scene, *rest = values
        other = render(dataclasses.replace(scene, seed=scene.seed + 1), *rest)
        assert not np.array_equal(first.pixels, other.pixels)


def test_numbered_examples_do_not_depend_on_where_a_run_starts_or_on_worker_processes():
    first = list(islice(examples.stream(render_example, seed=3), 6))
    assert first[2:] == list(islice(examples.stream(render_example, seed=3, start=2), 4))
    with_worker = examples.stream(examples.example_caption, seed=3, workers=1)
    assert list(islice(with_worker, 6)) == list(islice(examples.stream(examples.example_caption, seed=3), 6))
    with_worker.close()


def render_example(scene, pose, identity):
    return render(scene, pose, identity).pixels.tobytes()


def test_training_and_held_out_identities_share_no_combination_of_attributes():
    seen = {split: [sample_identity(rng(seed), split) for seed in range(600)] for split in people.SPLITS}
    assert all(identity.split == split for split, those in seen.items() for identity in those)
    combinations = {split: {(one.hair_style, one.glasses, one.beard) for one in those} for split, those in seen.items()}
    assert not combinations["train"] & combinations["heldout"]
    assert len(combinations["heldout"]) > 10
    for attribute in ("word", "hair_style", "glasses", "beard"):  # a held-out face has no part that was never seen
        trained, held = ({getattr(one, attribute) for one in those} for those in seen.values())
        assert held <= trained, attribute


def test_training_and_held_out_scenes_share_no_combination_and_training_has_every_word():
    for name, kind in KINDS.items():
        of_kind = [scene for scene in EVERY_SCENE if scene.kind == name]
        trained = [scene for scene in of_kind if scene.split == "train"]
        assert len(trained) > len(of_kind) - len(trained) > 0
        for attribute, values in (("time", kind.times), ("weather", kind.weathers), ("feature", kind.features)):
            assert {getattr(scene, attribute) for scene in trained} == set(values)
    for split in people.SPLITS:
        assert all(sample_scene(rng(seed), split).split == split for seed in range(200))


@pytest.mark.parametrize("shot", SHOTS)
def test_the_face_of_a_sampled_pose_lies_in_the_picture_and_its_key_points_in_its_box(shot):
    for number in range(60):
        scene, pose, identity = examples.example(number, seed=2, shot=shot)
        assert pose.shot == shot
        picture = render(scene, pose, identity)
        left, top, right, bottom = picture.box
        assert 0 < left < right < 128 and 0 < top < bottom < 128
        assert 0.75 < (right - left) / (pose.face_width * 128) < 1.25
        (x, y) = picture.keypoints.T
        assert (left < x).all() and (x < right).all() and (top < y).all() and (y < bottom).all()
        left_eye, right_eye, nose, left_corner, right_corner = picture.keypoints
        assert left_eye[0] < nose[0] < right_eye[0] and left_corner[0] < right_corner[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])
        rows, columns = (picture.keypoints[:, axis].astype(int) for axis in (1, 0))
        assert (picture.face_mask[rows, columns] > 0).all()


def test_a_face_half_outside_has_a_box_within_the_picture():
    scene, pose, identity = some_examples(1)[0]
    box = render(scene, dataclasses.replace(pose, x=0.0, y=0.02, face_width=0.4), identity).box
    assert (box >= 0).all() and (box <= 128).all()


def test_key_points_follow_the_picture_at_any_size():
    scene, pose, identity = some_examples(1)[0]
    small, large = render(scene, pose, identity, 64), render(scene, pose, identity, 192)
    assert np.allclose(small.keypoints * 3, large.keypoints, atol=1e-3)
    assert large.pixels.shape == (192, 192, 3) and large.face_mask.shape == (192, 192)
    assert np.isclose(small.face_mask.mean(), large.face_mask.mean(), rtol=0.05)


def test_masks_lie_one_in_the_other():
    for values in some_examples():
        picture = render(*values)
        face, head, person = picture.face_mask, picture.head_mask, picture.person_mask
        assert (face <= head).all() and (head <= person).all() and (picture.skin_mask <= person).all()
        assert (head + picture.skin_mask <= 1 + 1 / 255).all()  # each is rounded
        assert all(mask.min() >= 0 and mask.max() == 1 for mask in (face, head, person))


def test_where_nobody_is_the_picture_is_the_empty_scene_but_for_the_shadow_on_the_ground():
    for number in range(12):
        scene, pose, identity = examples.example(number, seed=4, shot="close-up")  # whose shadow is out of the picture
        picture = render(scene, pose, identity)
        nobody = picture.person_mask == 0
        assert np.array_equal(picture.pixels[nobody], render_scene(scene)[nobody])


def test_another_identity_changes_nothing_but_face_hair_and_bare_skin():
    for number, (scene, pose, identity) in enumerate(some_examples()):
        other = sample_identity(rng(number), None)
        first, second = render(scene, pose, identity), render(scene, pose, other)
        changed = (first.pixels != second.pixels).any(axis=2)
        theirs = first.head_mask + second.head_mask + first.skin_mask + second.skin_mask > 0
        assert changed.any() and not (changed & ~theirs).any()


@pytest.mark.parametrize("attribute", [field.name for field in dataclasses.fields(Identity)])
def test_every_attribute_of_an_identity_shows_in_a_face_of_32_pixels(attribute):
    scene, pose = EVERY_SCENE[0], Pose(x=0.5, y=0.5, face_width=0.25)
    plain = {"word": "man", "hair_style": "short", "glasses": "none", "beard": "none", "freckles": 0.0}
    base = dataclasses.replace(sample_identity(rng(1)), skin=0.4, **plain)
    values = {
        "word": people.WORDS,
        "hair_style": people.STYLES,
        "glasses": people.GLASSES,
        "beard": people.BEARDS,
        "brow_angle": (-1.0, 1.0),
        "eye_distance": (0.86, 1.16),
        "eye_size": (0.85, 1.18),
        "face_width": (0.86, 1.06),
        "nose_size": (0.7, 1.5),
        "mouth_width": (0.72, 1.38),
    }
    choices = values.get(attribute, (0.0, 1.0))
    pictures = [render(scene, pose, dataclasses.replace(base, **{attribute: value})) for value in choices]
    for one, other in pairwise(pictures):
        difference = np.abs(one.pixels.astype(float) - other.pixels)[one.head_mask + other.head_mask > 0]
        assert (difference.max(axis=1) > 16).sum() >= 8  # pixels, of about a thousand


def test_every_scene_renders_with_a_person_of_every_scale():
    widths = np.geomspace(0.09, 0.55, len(EVERY_SCENE))
    pictures = {}
    for scene, width in zip(EVERY_SCENE, widths, strict=True):
        pose = dataclasses.replace(sample_pose(rng(scene.seed)), face_width=width)
        assert pose.shot == SHOTS[int(width >= HALF_FIGURE) + int(width >= CLOSE_UP)]
        pictures[scene] = render(scene, pose, sample_identity(rng(scene.seed), None)).pixels
        assert pictures[scene].std() > 20
    empty = np.stack([render_scene(dataclasses.replace(scene, seed=0), 32).astype(float) for scene in EVERY_SCENE])
    for number, one in enumerate(empty[:-1]):  # time, weather and feature all show
        assert (np.abs(empty[number + 1 :] - one).max(axis=(1, 2, 3)) > 20).all(), EVERY_SCENE[number]


IDENTITY_WORDS = re.compile(
    r"\b(hair|haired|bald|beard|bearded|moustache|stubble|glasses|freckle\w*|eyes?|brows?|eyebrows?|nose|mouth|lips|skin|curly|"
    r"quiff|afro|bob|bun|ponytail|braids?|blonde?|ginger|long|short)\b"
)


def test_captions_never_say_who_it_is_and_always_where():
    for number, (scene, pose, identity) in enumerate(some_examples(200)):
        words = caption(scene, pose, identity.word, rng(number))
        assert not IDENTITY_WORDS.search(words), words
        assert (
            scene.kind.split()[0] in words
            or {"forest": "woods", "beach": "sea"}.get(scene.kind, "?") in words
            or (scene.kind == "night sky" and "at night" in words)
        ), words
        assert pose.garment_colour in words and pose.garment in words
        assert "  " not in words and "{" not in words and words == words.strip()


def test_the_caption_of_a_picture_is_the_same_for_another_identity():
    for number, (scene, pose, identity) in enumerate(some_examples(8)):
        other = sample_identity(rng(number), None, identity.word)
        assert render(scene, pose, other).caption == render(scene, pose, identity).caption


def test_one_picture_has_many_wordings_and_some_say_person():
    scene, pose, identity = some_examples(1)[0]
    wordings = {caption(scene, pose, identity.word, rng(seed)) for seed in range(60)}
    assert len(wordings) > 30
    assert any("person" in words for words in wordings) and any(identity.word in words for words in wordings)


def test_every_piece_of_clothing_that_a_caption_names_shows_in_its_colour():
    scene, identity = EVERY_SCENE[0], sample_identity(rng())
    for name, colour in colours.CLOTHES.items():
        pose = Pose(x=0.5, y=0.3, face_width=0.2, garment="t-shirt", garment_colour=name)
        pixels = render(dataclasses.replace(scene, time="in daylight"), pose, identity).pixels.reshape(-1, 3)
        assert (pixels == colour).all(axis=1).sum() > 100, name


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_identity(rng(), "test"),
        lambda: sample_identity(rng(), word="child"),
        lambda: sample_scene(rng(), "test"),
        lambda: sample_scene(rng(), kind="moon"),
        lambda: sample_pose(rng(), "side view"),
    ],
)
def test_a_word_that_is_no_choice_is_refused_with_the_choices(call):
    with pytest.raises(ValueError, match=r"^(split|word|kind|shot): '.*' is none of \("):
        call()


def test_a_picture_takes_few_drawing_operations(measured, monkeypatch):
    """Training draws hundreds of thousands of pictures, and each filled shape costs a mask of its own."""
    masks = []
    make_mask = Canvas._mask
    monkeypatch.setattr(Canvas, "_mask", lambda *args: masks.append(1) or make_mask(*args))
    values = some_examples(40)
    for one in values:
        render(*one)
    measured("filled shapes in a picture of the pocket world, mean of 40", len(masks) / len(values))
    assert 0 < len(masks) / len(values) < 60

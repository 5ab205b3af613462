"""Picture Scores: each score is that of its own room, only what is connected is measured, captions are right."""

import comfy.model_management
import comfy.utils
import numpy as np
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from customenhancer.faces.analysis import load_face_analysis
from customenhancer.faces.person import read_person
from customenhancer.faces.scene_distance import distances_from_scene
from customenhancer.host.clip_score import clip_scores
from customenhancer.nodes.identity_similarity import IdentitySimilarityNode
from customenhancer.nodes.picture_scores import PictureScoresNode
from helpers.clip_halves import L, load_image, load_text, published, write
from helpers.faces import insightface_folder
from helpers.instantid_flow import ASTRONAUT, CROWD, NOBODY
from helpers.instantid_flow import PICTURES as KNOWN
from standins.faces import FixturePicture, as_image, make_face_models, random_picture, upright_face

pytestmark = pytest.mark.usefixtures("temporary_folder")

TEXT = "a photo of a woman in a space suit"
PICTURES = torch.cat([ASTRONAUT, as_image(random_picture(3, 512, 512))[None], CROWD])
SCENE = torch.cat([ASTRONAUT, CROWD, ASTRONAUT])
MEANS = ("face_similarity", "clip_t", "scene_distance")


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Face analyses by the name of their pack, which find a face in any picture that is not plain."""
    pictures = [*KNOWN, FixturePicture(None, (upright_face(0.5, 0.34, 0.32),))]
    with insightface_folder(make_face_models(tmp_path_factory.mktemp("models"), pictures)):
        return {pack: load_face_analysis(pack, "CPU") for pack in ("antelopev2", "buffalo_l")}


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The inputs of a CLIP's two halves."""
    file = write(published(L), tmp_path_factory.mktemp("clip") / "clip.safetensors")
    return {"clip_vision": load_image(file, L), "clip": load_text(file, kinds=(L,)), "text": TEXT}


@pytest.fixture
def wired(packs, halves):
    """Everything that can be connected, but a mask and a face."""
    return {"face_analysis": packs["buffalo_l"], "reference": ASTRONAUT, "scene": SCENE, **halves}


def scores(image=PICTURES, **inputs):
    """The node's outputs by name, and what it shows."""
    output = PictureScoresNode.execute(image, **inputs)
    names = [one.display_name for one in PictureScoresNode.GET_SCHEMA().outputs]
    return {**dict(zip(names, output.result, strict=True)), "ui": output.ui}


def test_the_face_similarity_is_identity_similarity(wired):
    buffalo = wired["face_analysis"]
    for reference, more in ((ASTRONAUT, {}), (CROWD, {"reference_face": 1}), (SCENE, {"image_order": "left-right"})):
        expected = IdentitySimilarityNode.execute(PICTURES, reference, buffalo, **more)
        found = scores(face_analysis=buffalo, reference=reference, **more)
        assert found["face_similarity"] == expected.result[0]
        labels = [line.split(": ")[1] for line in expected.ui["text"][0].split("\n")[1:]]
        assert found["report"].split("\n")[1:] == [f"picture {n}: face {label}" for n, label in enumerate(labels)]


def test_a_saved_face_takes_the_place_of_the_reference(wired):
    buffalo = wired["face_analysis"]
    face = read_person({"face_analysis": buffalo}, ASTRONAUT, "large-small", 0, "reference_images")
    expected = scores(face_analysis=buffalo, reference=ASTRONAUT)
    for more in ({}, {"reference": NOBODY}):
        found = scores(face_analysis=buffalo, face=face, **more)
        assert found["face_similarity"] == pytest.approx(expected["face_similarity"], abs=1e-6)


def test_a_face_read_with_another_pack_is_refused(packs):
    face = read_person({"face_analysis": packs["antelopev2"]}, ASTRONAUT, "large-small", 0, "reference_images")
    with pytest.raises(ValueError, match="^face: it was read with glintr100, and face_analysis compares by w600k_r50"):
        scores(face_analysis=packs["buffalo_l"], face=face)


def test_clip_t_and_the_scene_distance_are_those_of_their_rooms(wired, halves):
    found = scores(**wired)
    values, _ = clip_scores(halves["clip_vision"], halves["clip"], TEXT, PICTURES)
    assert found["clip_t"] == pytest.approx(np.mean(values), abs=1e-7)
    distances, _ = distances_from_scene(PICTURES, SCENE, wired["face_analysis"], None, "large-small", 0, "error")
    assert found["scene_distance"] == pytest.approx(np.mean(distances), abs=1e-7)
    lines = found["report"].split("\n")
    assert lines[0].startswith("face ") and lines[1].startswith("CLIP-T ")
    assert lines[2].startswith("scene distance ") and lines[2].endswith("mean of 3, outside the head")
    assert [line.split(", ")[1:] for line in lines[3:]] == [
        [f"CLIP-T {value:.3f}", f"scene distance {distance:.3f}"]
        for value, distance in zip(values, distances, strict=True)
    ]


def test_each_picture_is_scored_as_if_it_were_alone(wired):
    alone = [
        scores(image[None], **{**wired, "scene": scene[None]}) for image, scene in zip(PICTURES, SCENE, strict=True)
    ]
    together = scores(**wired)
    for name in MEANS:
        assert together[name] == pytest.approx(np.mean([one[name] for one in alone]), abs=1e-6)


@pytest.mark.parametrize(
    "left_out",
    [("clip", "clip_vision"), ("scene",), ("reference",), ("reference", "scene"), ("clip", "clip_vision", "scene")],
)
def test_what_is_not_connected_is_not_measured_and_its_output_blocks_whoever_uses_it(wired, left_out):
    found, whole = scores(**{name: value for name, value in wired.items() if name not in left_out}), scores(**wired)
    makers = {"face_similarity": "reference", "clip_t": "clip", "scene_distance": "scene"}
    for name in MEANS:
        if makers[name] in left_out:
            assert isinstance(found[name], ExecutionBlocker)
            assert found[name].message.startswith(f"{name}: was not measured. Connect ")
        else:
            assert found[name] == whole[name]
    shown = sum(isinstance(found[name], float) for name in MEANS)
    lines = found["report"].split("\n")
    assert len(lines) == shown + 3 and lines[-1].count(", ") == shown - 1


def test_the_face_analysis_alone_finds_the_head_in_the_scene_and_a_mask_goes_before_it(wired):
    buffalo, mask = wired["face_analysis"], torch.zeros(1, 512, 512)
    mask[:, :300] = 1
    whole, head, masked = (
        scores(scene=SCENE, **more)
        for more in ({}, {"face_analysis": buffalo}, {"face_analysis": buffalo, "mask": mask})
    )
    assert masked["scene_distance"] == scores(scene=SCENE, mask=mask)["scene_distance"]
    assert len({one["scene_distance"] for one in (whole, head, masked)}) == 3
    assert "of the whole picture, faces included" in whole["report"] and "outside mask" in masked["report"]


def test_a_picture_without_a_face_is_refused_or_counts_as_0(wired):
    images = torch.cat([ASTRONAUT, NOBODY])
    given = {**wired, "scene": ASTRONAUT}
    with pytest.raises(ValueError, match="^image: no face found in picture 1.*pass_through"):
        scores(images, **given)
    found = scores(images, no_face="pass_through", **given)
    assert found["face_similarity"] == pytest.approx(0.5, abs=1e-6)
    assert "picture 1: face no face, counts as 0, CLIP-T" in found["report"]
    with pytest.raises(ValueError, match="^scene: no face found in picture 0"):
        scores(ASTRONAUT, **{**wired, "scene": NOBODY})


def test_nothing_connected_is_refused_with_all_that_can_be(wired):
    for inputs in ({}, {"text": TEXT}, {"face_analysis": wired["face_analysis"]}):
        with pytest.raises(
            ValueError, match="^image: nothing to score it by is connected. Connect face_analysis"
        ) as said:
            scores(**inputs)
        assert all(name in str(said.value) for name in ("reference", "face", "clip_vision", "clip", "scene"))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("reference", "face_analysis"),
        ("face", "face_analysis"),
        ("clip", "clip_vision"),
        ("clip_vision", "clip"),
        ("mask", "scene"),
    ],
)
def test_half_of_what_a_score_needs_is_refused_by_name(wired, name, other):
    """Rather than left out without a word."""
    face = read_person({"face_analysis": wired["face_analysis"]}, ASTRONAUT, "large-small", 0, "reference_images")
    given = {**wired, "face": face, "mask": torch.zeros(1, 512, 512)}
    # Whatever else needs what is missing is not connected either.
    others = {"face_analysis": {"reference", "face"}, "scene": {"mask"}}.get(other, set()) - {name}
    with pytest.raises(ValueError, match=f"^{name}: is connected, and {other}, which it needs, is not"):
        scores(**{key: value for key, value in given.items() if key not in {other, *others}})


def test_pictures_keep_every_bit_above_a_strip_for_each_score(wired, temporary_folder):
    before = {name: value.clone() for name, value in wired.items() if torch.is_tensor(value)}
    images = PICTURES.clone()
    found = scores(images, **wired)
    image = found["image"]
    assert torch.equal(image[:, :512], PICTURES) and torch.equal(images, PICTURES)
    assert all(torch.equal(wired[name], value) for name, value in before.items())
    only = scores(images, scene=SCENE)["image"].shape[1] - 512
    assert image.shape[1] == 512 + 3 * only
    for strip in image[:, 512:].unflatten(1, (3, only)).flatten(0, 1):
        assert (strip > 0.9).any() and (strip < 0.1).any()
    assert not torch.equal(image[0, 512:], image[1, 512:])
    assert found["ui"]["text"] == (found["report"],)
    assert [(temporary_folder / shown["filename"]).is_file() for shown in found["ui"]["images"]] == [True] * 3


def test_progress_is_told_and_an_interrupt_stops_each_score(wired, monkeypatch):
    steps = []

    def interrupt_after_the_first(value, total, preview, node_id=None):
        steps.append((value, total))
        comfy.model_management.interrupt_current_processing((value, total) == (1, 3))

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", interrupt_after_the_first)
    groups = {"reference": ["face_analysis", "reference"], "clip": ["clip_vision", "clip", "text"], "scene": ["scene"]}
    for names in groups.values():
        steps.clear()
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            scores(**{name: wired[name] for name in names})
        assert [step for step in steps if step[1] == 3] == [(1, 3)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pictures_in_half_precision_score_as_the_same_in_single(wired, dtype):
    half = {name: value.to(dtype) if torch.is_tensor(value) else value for name, value in wired.items()}
    single = {name: value.float() if torch.is_tensor(value) else value for name, value in half.items()}
    one, other = scores(PICTURES.to(dtype), **half), scores(PICTURES.to(dtype).float(), **single)
    assert [one[name] for name in MEANS] == pytest.approx([other[name] for name in MEANS], abs=1e-6)
    assert one["image"].dtype == dtype


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (8, 4096)], ids=str)
def test_pictures_of_any_size_are_scored(wired, size):
    flat = torch.full((1, *size, 4), 0.5)
    found = scores(flat, **{**wired, "scene": flat}, no_face="pass_through")
    assert found["face_similarity"] == 0 and found["scene_distance"] == 0 and np.isfinite(found["clip_t"])
    assert torch.isfinite(found["image"]).all()


def test_it_runs_in_inference_mode(wired, inference_mode):
    found = scores(**wired)
    assert all(np.isfinite(found[name]) for name in MEANS)

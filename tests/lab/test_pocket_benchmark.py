"""The benchmark on the pocket world: judges see what is there, and the method's parts are what they are called."""

import dataclasses
from types import SimpleNamespace

import demo
import numpy as np
import pytest
import torch
from customenhancer.faces.scene_distance import distances_from_scene
from helpers.pocket_method import Settings, draw_rows, likeness, load, stacked
from insightface.app.common import Face
from safetensors.torch import save_file
from standins.photomaker import make_photomaker
from support_pack.tiny_sdxl import register_tiny_sdxl

import dev
from intervals import difference, interval, verdict
from paper import bench, pocket_claims
from paper import pocket_judges as judges
from paper.methods import DDIM, DELAYED, FULL_PHOTOMAKER, NO_BACKWARD, NO_FORWARD, PHOTOMAKER, SCENE, SWAPPED
from paper.pocket_cases import SHOT, held_out_case
from paper.pocket_columns import COLUMNS
from paper.pocket_judges import Seen
from paper.pocket_models import missing
from paper.usual import POCKET
from pocket import kept, models_folder, text, unet
from pocket.examples import example
from pocket.train_scenes import load_classifier
from pocket.world.render import render
from pocket.world.scene import KINDS

STEPS = 2


pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The trained weights, with an untrained text-to-image model, which draws no faces."""
    weights = tmp_path_factory.mktemp("weights")
    for file in kept.WEIGHTS.iterdir():
        if file.name in ("taesd.safetensors", "scenes.safetensors", "insightface"):
            (weights / file.name).symlink_to(file)
    torch.manual_seed(0)
    texts = [text for number in range(2) for text in held_out_case(number, 2, 1).texts]
    model = unet.TextToImage(text.token_ids(["", *texts]).unique())
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights / "unet.safetensors")
    return weights


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """A models folder of these weights, with a PhotoMaker stand-in."""
    folder = tmp_path_factory.mktemp("models")
    models_folder.write_models_folder(weights, folder)
    make_photomaker(folder / "photomaker" / kept.PHOTOMAKER, depths=(1, 1), version=2)
    return folder


@pytest.fixture(scope="module")
def models(folder):
    register_tiny_sdxl()
    with torch.inference_mode():
        return load(folder)


@pytest.fixture(scope="module")
def case():
    return held_out_case(0, prompts=2, pictures=1)


@pytest.fixture(scope="module")
def rows(models, case, no_progress_bar):
    with torch.inference_mode():
        return draw_rows(models, case, Settings(STEPS, 5.0, start_step=1))


@pytest.fixture(scope="module")
def classifier(weights):
    return load_classifier(weights)


def rendered(count=12):
    """Held-out half figures: the Seen with the renderer's own boxes, and their poses and kinds."""
    drawn = [example(number, seed=3, split="heldout", shot="half figure") for number in range(count)]
    pictures = [render(*parts) for parts in drawn]
    pixels = torch.from_numpy(np.stack([picture.pixels for picture in pictures])).float() / 255
    seen = Seen(pixels, [picture.box for picture in pictures], torch.zeros(count, 512))
    return seen, [pose for _, pose, _ in drawn], pictures


class TestCases:
    def test_people_and_scenes_are_held_out_and_each_person_has_prompts_of_its_own(self):
        cases = [held_out_case(number, 8, 2) for number in range(3)]
        assert all(case.person.identity.split == "heldout" for case in cases)
        assert all(scene.split == "heldout" for case in cases for scene, _ in case.described)
        assert len({case.person.identity for case in cases}) == 3 and len({tuple(case.texts) for case in cases}) == 3

    def test_each_prompt_comes_as_often_as_there_are_seeds_and_names_the_person_once(self):
        case = held_out_case(1, 8, 2)
        assert len(case.texts) == 16 and case.texts[::2] == case.texts[1::2] and len(set(case.texts)) == 8
        assert len({scene.kind for scene, _ in case.described}) == 8
        assert all(text.split().count("img") == 1 for text in case.texts)
        assert all(f"{case.person.identity.word} img" in text for text in case.texts)

    def test_the_prompts_ask_for_close_ups(self):
        case = held_out_case(0, 4, 1)
        assert all(SHOT in text for text in case.texts) and all(pose.shot == SHOT for _, pose in case.described)

    def test_the_same_number_gives_the_same_case(self):
        one, other = held_out_case(2, 2, 1), held_out_case(2, 2, 1)
        assert one.texts == other.texts and torch.equal(one.person.views, other.person.views)


class TestJudges:
    def test_likeness_is_the_mean_cosine_with_the_faces_that_are_found_and_0_without_one(self):
        directions = torch.zeros(3, 512)
        directions[0, 0] = directions[1, 1] = 1
        person = dataclasses.replace(rendered(3)[0], directions=torch.eye(3, 512) * torch.tensor([[1.0], [1.0], [0.0]]))
        seen = Seen(person.pictures, [], directions)
        assert likeness(seen, person).tolist() == [0.5, 0.5, 0.0]

    def test_the_kind_of_scene_is_seen_in_the_renderers_pictures(self, classifier, measured):
        drawn = [example(number, seed=3, split="heldout", shot="half figure") for number in range(24)]
        seen, _, _ = rendered(24)
        kinds = [list(KINDS).index(scene.kind) for scene, _, _ in drawn]
        right = (judges.kind_probabilities(classifier, seen.pictures).argmax(dim=1) == torch.tensor(kinds)).float()
        measured("held-out pictures whose kind of scene the classifier sees, share", right.mean())
        assert right.mean() >= 0.9

    def test_the_colour_of_the_clothes_is_seen_in_the_renderers_pictures(self, measured):
        seen, poses, _ = rendered(48)
        right = judges.wears(seen, poses)
        others = judges.wears(seen, poses[1:] + poses[:1])
        measured("held-out pictures in which the named colour of the clothes is found, share", right.mean())
        assert right.mean() >= 0.75 and others.mean() <= 0.35

    def test_without_a_face_no_clothes_are_found(self):
        seen, poses, _ = rendered(2)
        assert not judges.wears(dataclasses.replace(seen, boxes=[None, None]), poses).any()

    def test_a_head_mask_holds_the_renderers_head_and_not_all_of_the_picture(self):
        seen, _, pictures = rendered()
        faces = torch.from_numpy(np.stack([picture.face_mask for picture in pictures])) > 0.5
        masks = judges.head_masks(seen).bool()
        assert masks[faces].all() and masks.float().mean() < 0.5

    def test_background_distance_counts_what_changes_outside_of_the_scenes_head_alone(self):
        scene, _, _ = rendered(2)
        head = judges.head_masks(scene)[..., None]
        inside = scene.pictures * (1 - head) + (1 - scene.pictures) * head
        outside = scene.pictures + 0.1 * (1 - head)
        assert not judges.background_distance(inside, scene).any()
        torch.testing.assert_close(judges.background_distance(outside, scene), torch.full((2,), 0.1))

    def test_picture_scores_measures_the_background_as_the_table_does(self):
        scene, _, _ = rendered(3)
        boxes = iter(scene.boxes)
        judge = SimpleNamespace(get=lambda bgr: [Face(bbox=next(boxes))])
        pictures = torch.rand(scene.pictures.shape, generator=torch.Generator().manual_seed(0))
        found, _ = distances_from_scene(pictures, scene.pictures, judge, None, "large-small", 0, "error")
        torch.testing.assert_close(torch.tensor(found), judges.background_distance(pictures, scene))

    def test_diversity_is_0_between_pictures_that_differ_in_the_head_alone_and_grows_with_the_scenes(self, classifier):
        seen, _, _ = rendered(4)
        same = Seen(seen.pictures[:1].repeat(2, 1, 1, 1), seen.boxes[:1] * 2, seen.directions[:2])
        head = judges.head_masks(same)[:, :, :, None] * torch.tensor([0.0, 1.0])[:, None, None, None]
        other_head = dataclasses.replace(same, pictures=same.pictures * (1 - head))
        assert judges.diversity(classifier, other_head) == pytest.approx(0, abs=1e-5)
        faint = dataclasses.replace(seen, pictures=0.05 * seen.pictures + 0.95 * seen.pictures[:1])
        assert judges.diversity(classifier, seen) > judges.diversity(classifier, faint) > 0


class TestStatistics:
    def test_an_interval_is_as_wide_as_the_normal_distribution_says(self):
        values = np.random.default_rng(0).normal(5, 2, 400)
        found = interval(values)
        half = 1.96 * values.std() / 20
        assert found["mean"] == pytest.approx(values.mean())
        assert (found["mean"] - found["low"], found["high"] - found["mean"]) == pytest.approx((half, half), rel=0.1)

    def test_a_difference_is_taken_per_person(self):
        people = [{"a": {"x": level + 1.0}, "b": {"x": level}} for level in (0.0, 50.0, 100.0)]
        assert difference(people, "x", "a", "b") == {"mean": 1.0, "low": 1.0, "high": 1.0}

    @pytest.mark.parametrize(("low", "high", "said"), [(1, 2, "holds"), (-2, -1, "reversed"), (-1, 1, "undecided")])
    def test_the_verdict_follows_from_where_the_interval_lies(self, low, high, said):
        assert verdict({"mean": 0, "low": low, "high": high}) == said

    def test_every_claim_is_of_methods_and_columns_that_are_measured(self):
        for column, higher, lower, _, _ in pocket_claims.CLAIMS:
            assert column in COLUMNS and {higher, lower} <= set(POCKET.methods)


class TestPipeline:
    """Whatever the weights are."""

    def test_each_row_takes_its_number_of_guider_calls(self, rows):
        calls = {row: drawn.guider_calls for row, drawn in rows.items()}
        whole = 3 * STEPS + 1
        alone = dict.fromkeys((PHOTOMAKER, DELAYED, SCENE, SWAPPED), STEPS)
        assert calls == {**alone, DDIM: 3 * STEPS, NO_BACKWARD: whole, NO_FORWARD: whole, FULL_PHOTOMAKER: whole}

    def test_without_the_forward_flow_the_swapped_picture_comes_back_through_the_vae(self, models, rows):
        expected = models.vae.decode(models.vae.encode(rows[SWAPPED].pictures)).cpu().clamp(0, 1)
        assert (rows[NO_FORWARD].pictures - expected).abs().max() <= 2 / 255

    def test_without_the_backward_flow_the_pictures_are_those_of_ddim_inversion(self, rows):
        assert (rows[NO_BACKWARD].pictures - rows[DDIM].pictures).abs().max() <= 2 / 255
        assert (rows[FULL_PHOTOMAKER].pictures - rows[DDIM].pictures).abs().max() > 2 / 255

    def test_a_picture_of_a_batch_is_what_its_prompt_gives_alone(self, models, case, rows):
        first = dataclasses.replace(case, texts=case.texts[:1], described=case.described[:1])
        alone = draw_rows(models, first, Settings(STEPS, 5.0, start_step=1))
        for row, drawn in rows.items():
            assert (drawn.pictures[:1] - alone[row].pictures).abs().max() <= 2 / 255, row

    def test_conditionings_are_stacked_in_their_order(self):
        conds = [[[torch.full((1, 77, 4), n), {"pooled_output": torch.full((1, 3), -n)}]] for n in (1.0, 2.0)]
        ((cond, extras),) = stacked(conds)
        assert cond[:, 0, 0].tolist() == [1, 2] and extras["pooled_output"][:, 0].tolist() == [-1, -2]


@pytest.mark.parametrize("flow", dev.POCKET_FLOWS)
def test_the_demo_shows_a_held_out_person_and_scene_with_the_pocket_worlds_models(flow):
    prompt = demo.load_workflow(demo.FLOWS[flow], real_models=True)
    reference = demo.pocket_world(prompt, flow)
    named = {value for node in prompt.values() for value in node["inputs"].values() if isinstance(value, str)}
    assert {name for name in named if name.endswith((".bin", ".safetensors"))} <= set(demo.POCKET_MODELS.values())
    size = prompt[demo.find_title(prompt, "Picture size")]["inputs"]
    assert reference.size == (size["width"], size["height"])
    (text,) = [name for name in named if name.startswith("a close-up")]
    assert text.split().count("img") == (flow == "photomaker-v2")
    assert demo.POCKET_SCENE.split == "heldout" and demo.POCKET_POSE.shot == SHOT


def test_models_that_are_not_trained_yet_are_left_out_and_named(tmp_path, capsys):
    (tmp_path / "weights").mkdir()
    models_folder.write_models_folder(tmp_path / "weights", tmp_path / "models")
    said = capsys.readouterr().out
    assert all(name in said for name in ("unet.safetensors", "photomaker.safetensors", "insightface"))
    assert len(missing(tmp_path / "models")) == 5


def test_a_models_folder_that_lacks_something_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        bench.main(["--pocket", "--models", str(tmp_path)])
    assert f"{tmp_path} lacks checkpoints/{kept.CHECKPOINT}" in capsys.readouterr().err

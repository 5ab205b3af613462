"""What the method is for, on the pocket world's trained models: the face arrives, and the scene stays."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.paths import HOST
from helpers.pocket_method import Settings, draw_method, load, measure_case, views_of
from support_pack.tiny_sdxl import register_tiny_sdxl

from devtools.models import pocket_world
from paper.methods import FULL_PHOTOMAKER, NO_FORWARD, PHOTOMAKER, SCENE, SWAPPED
from paper.pocket_cases import held_out_case
from paper.pocket_judges import Judges
from pocket.kept import WEIGHTS
from pocket.train_scenes import load_classifier

pytestmark = pytest.mark.usefixtures("inference_mode")

PEOPLE, PROMPTS, STEPS = 2, 4, 15


@pytest.fixture(scope="module")
def drawn(no_progress_bar):
    """The models, and each person's case and rows of pictures."""
    register_tiny_sdxl()
    with torch.inference_mode():
        models = load(pocket_world(Path(sys.executable), HOST))
        cases = [held_out_case(number, PROMPTS, pictures=1, seed=1) for number in range(PEOPLE)]
        return models, [(case, draw_method(models, case, Settings(STEPS, 5.0, STEPS // 5))) for case in cases]


@pytest.fixture(scope="module")
def means(drawn):
    """The mean over people of each column of each row."""
    models, people = drawn
    judges, found = Judges(models.judge, load_classifier(WEIGHTS)), {}
    with torch.inference_mode():
        for case, rows in people:
            views, scene = views_of(judges, case.person), judges.look(rows[SCENE].pictures)
            for row, one in rows.items():
                columns = measure_case(judges, judges.look(one.pictures), case, views, scene)
                for column, value in columns.items():
                    found.setdefault((row, column), []).append(value)
    return {place: np.mean(values) for place, values in found.items()}


def test_the_scene_that_the_prompt_names_is_drawn(means, measured):
    measured("pocket world, scene accuracy of the base model, %", means[SCENE, "scene"])
    assert means[SCENE, "scene"] >= 75


def test_the_swap_and_the_method_bring_the_persons_face(means, measured):
    """Similarity to other pictures of the person, by a recogniser that no part was trained with."""
    for row in (SCENE, SWAPPED, PHOTOMAKER, FULL_PHOTOMAKER):
        measured(f"pocket world, face similarity ×100, {row}", means[row, "similarity"])
    assert means[SWAPPED, "similarity"] > means[SCENE, "similarity"] + 10
    assert means[FULL_PHOTOMAKER, "similarity"] > means[SCENE, "similarity"] + 10
    assert means[FULL_PHOTOMAKER, "similarity"] > means[PHOTOMAKER, "similarity"] + 5


def test_the_method_keeps_the_background_better_than_the_personalised_model_alone(means, measured):
    for row in (NO_FORWARD, FULL_PHOTOMAKER, PHOTOMAKER):
        measured(f"pocket world, background distance ×100, {row}", means[row, "background"])
    assert means[NO_FORWARD, "background"] < means[FULL_PHOTOMAKER, "background"] / 2
    assert means[FULL_PHOTOMAKER, "background"] < means[PHOTOMAKER, "background"] - 1


def test_without_the_forward_flow_the_swapped_pictures_come_back(drawn):
    models, people = drawn
    for _, rows in people:
        expected = models.vae.decode(models.vae.encode(rows[SWAPPED].pictures)).cpu().clamp(0, 1)
        assert (rows[NO_FORWARD].pictures - expected).abs().max() <= 2 / 255

"""The pocket world's judges as metrics: the numbers of a batch in process, from pictures on disk."""

import numpy as np
import pytest
import torch
from customenhancer.faces.analysis import load_face_analysis
from helpers.faces import insightface_folder
from helpers.pocket_method import measure_case, views_of
from PIL import Image

from paper.cache import Cache
from paper.measure import measure
from paper.metric import HIGHER, LOWER
from paper.pocket_cases import held_out_case
from paper.pocket_columns import COLUMNS, SWAPPED_IN
from paper.pocket_judges import Judges
from paper.pocket_metrics import pocket_metrics
from paper.records import Record
from paper.summary import absent_column, people_of
from pocket import kept, models_folder
from pocket.train_scenes import load_classifier
from pocket.world.render import render

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    folder, weights = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("weights")
    (weights / "insightface").symlink_to(kept.WEIGHTS / "insightface")
    models_folder.write_models_folder(weights, folder)
    with insightface_folder(folder / "insightface"), torch.inference_mode():
        return Judges(load_face_analysis("antelopev2", "CPU"), load_classifier(kept.WEIGHTS))


def save(pixels, path):
    Image.fromarray((255 * pixels).round().byte().numpy()).save(path)
    return path


@pytest.fixture
def drawn(tmp_path):
    """A held-out person in four scenes, one of them without anybody, with base scenes: case, pictures, records."""
    case = held_out_case(0, prompts=4, pictures=1)
    rendered = [render(scene, pose, case.person.identity).pixels for scene, pose in case.described]
    pictures = torch.from_numpy(np.stack(rendered)).float() / 255
    pictures[3] = 0.5
    scenes = torch.from_numpy(np.stack(rendered[::-1])).float() / 255
    views = [save(view, tmp_path / f"view{n}.png") for n, view in enumerate(case.person.views)]
    records = [
        Record(
            "m",
            "p",
            n,
            0,
            save(pictures[n], tmp_path / f"{n}.png"),
            text,
            others=tuple(views),
            scene=save(scenes[n], tmp_path / f"scene{n}.png"),
            facts={"kind": scene.kind, "garment_colour": pose.garment_colour},
        )
        for n, (text, (scene, pose)) in enumerate(zip(case.texts, case.described, strict=True))
    ]
    return case, pictures, scenes, records


def test_the_columns_are_the_pocket_benchmarks(judges, drawn, tmp_path):
    """Equal to its own code on the tensors, whose values are whole steps of 8 bits."""
    case, pictures, scenes, records = drawn
    expected = measure_case(judges, judges.look(pictures), case, views_of(judges, case.person), judges.look(scenes))
    metrics = pocket_metrics(judges, "1")
    rows = measure(records, metrics, Cache(tmp_path / "kept.sqlite"), batch=3, quiet=True)
    found = people_of(rows)["p"]["m"]
    found["no_face"] = found.pop(absent_column("similarity"))
    assert found.keys() == expected.keys() == COLUMNS.keys()
    assert expected["no_face"] >= 25 and expected["diversity"] > 1 and expected["similarity"] > 10
    assert found == pytest.approx(expected, abs=0.3)  # 0.5 is no whole step


def test_titles_and_directions(judges):
    metrics = {metric.name: metric for metric in pocket_metrics(judges, "1")}
    assert metrics.pop(SWAPPED_IN).title == COLUMNS["similarity"]
    assert all(metric.title == COLUMNS[name] for name, metric in metrics.items())
    assert {name for name, metric in metrics.items() if metric.better == LOWER} == {"background"}
    assert metrics["similarity"].better == HIGHER

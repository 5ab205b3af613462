"""The paper's tables on the pocket world by a real server: written once, of the pictures that the nodes draw."""

import functools
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.fleet_jobs import ask_ledger  # also puts lab/ on sys.path
from helpers.host_client import Host
from helpers.paths import HOST
from helpers.pocket_method import Settings, draw_rows, load, measure_case, views_of
from helpers.real_server import start_server
from PIL import Image
from support_pack.tiny_sdxl import register_tiny_sdxl

from devtools.models import pocket_world
from paper import bench
from paper.methods import (
    DDIM,
    DELAYED,
    FULL_PHOTOMAKER,
    FUSION,
    INPUT,
    NO_BACKWARD,
    NO_FORWARD,
    PHOTOMAKER,
    SCENE,
    SWAPPED,
    title,
)
from paper.pocket_cases import held_out_case
from paper.pocket_claims import CLAIMS
from paper.pocket_judges import Judges
from paper.protocol import CFG
from paper.records import read_records
from paper.summary import absent_column
from pocket.kept import WEIGHTS
from pocket.train_scenes import load_classifier

PEOPLE, PROMPTS, STEPS, START = 2, 2, 5, 4
PLACES = PEOPLE * PROMPTS
METHODS = FULL_PHOTOMAKER, PHOTOMAKER, DELAYED, NO_BACKWARD, NO_FORWARD, DDIM, SWAPPED, SCENE
# A scene, its inversions and four ways to sample on; the personalised model alone, and delayed.
TABLE = STEPS + (STEPS + 1) + STEPS + 4 * STEPS + 2 * STEPS
# A start with a doubled scale, and the same of the fusion, which has an inversion of its own.
CURVE = 2 * (STEPS + STEPS - START) + (STEPS + 1)
PLANNED = PLACES * TABLE + CURVE


@pytest.fixture(scope="module")
def models():
    return pocket_world(sys.executable, HOST)


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    with start_server(tmp_path_factory.mktemp("server"), models) as server:
        yield server


@pytest.fixture(scope="module")
def run(server, models, tmp_path_factory):
    """Run the command; returns its folder and the guider calls that the server has counted for it so far."""
    folder = tmp_path_factory.mktemp("results")
    methods = ["--methods", *METHODS, FUSION, INPUT, "--starts", START, "--scales", 2, "--steps", STEPS]
    places = ["--results", folder, "--work", folder / "work", "--name", "paper", "--curve-sample", "1x1x1"]
    command = ["--pocket", "--models", models, "--hosts", server.url, *places, *methods]
    client = Host(server.url)

    def run():
        assert bench.main([*map(str, command), "--sample", f"{PEOPLE}x{PROMPTS}x1"]) == 0
        ids = [job_id for (job_id,) in ask_ledger(folder / "work" / "fleet", "SELECT id FROM jobs")]
        counts = [client.get_json("/customenhancer_test/counts", prompt_id=job_id) for job_id in ids]
        return folder, sum(node["guider_calls"] for of_job in counts for node in of_job.values())

    return run


@pytest.fixture(scope="module")
def done(run):
    return run()


@pytest.fixture(scope="module")
def results(done):
    return json.loads((done[0] / "paper.json").read_text())


def test_each_picture_is_drawn_once_and_what_jobs_share_is_computed_once(done):
    folder, calls = done
    records = read_records(folder / "work" / "records.jsonl")
    assert len(records) == PLACES * len(METHODS) + 2 + PEOPLE * 5
    assert len({record.picture for record in records}) == len(records)
    assert calls == PLANNED


def test_the_tables_are_written_and_every_number_is_finite(done, results):
    folder, _ = done
    labels = {title(method) for method in (*METHODS, INPUT)}
    of_curve = {title(method, START, 2) for method in (FULL_PHOTOMAKER, FUSION)}
    assert results["methods"].keys() == labels | of_curve
    numbers = [
        value for columns in results["methods"].values() for interval in columns.values() for value in interval.values()
    ]
    assert len(numbers) > 100 and all(map(math.isfinite, numbers))
    page = (folder / "paper.md").read_text()
    assert all(f"| {label} |" in page for label in labels)
    verdicts = {claim["verdict"] for claim in results["claims"]}
    assert len(results["claims"]) == len(CLAIMS) and "not measured" not in verdicts
    assert [point["method"] for point in results["curve"]] == [FULL_PHOTOMAKER, FUSION]
    assert results["curve"][1]["swapped_in"] and not results["curve"][0]["swapped_in"]
    pictures = {file.name for file in folder.glob("*.png")}
    assert pictures == {f"paper-{what}.png" for what in ("similarity", "background", "fusion", "examples")}


def test_the_page_tells_the_guider_calls_that_nodes_in_process_count(results, in_process):
    calls = in_process(1).guider_calls
    assert results["guider_calls"] == {title(method): count for method, count in calls.items()}


def test_the_same_command_again_draws_nothing_and_writes_the_same(run, done, results):
    folder, calls = run()
    assert calls == done[1]
    again = json.loads((folder / "paper.json").read_text())
    assert all(again[name] == results[name] for name in results)


@pytest.fixture(scope="module")
def in_process(models):
    """The first person with so many prompts: pictures, numbers and guider calls, by method."""
    register_tiny_sdxl()
    with torch.inference_mode():
        loaded = load(models)
    judges = Judges(loaded.judge, load_classifier(WEIGHTS))

    @functools.cache
    def drawn(prompts):
        case = held_out_case(0, prompts, pictures=1)
        with torch.inference_mode():
            rows = draw_rows(loaded, case, Settings(STEPS, CFG, STEPS // 5))
            views, scene = views_of(judges, case.person), judges.look(rows[SCENE].pictures)
            told = {
                row: measure_case(judges, judges.look(one.pictures), case, views, scene) for row, one in rows.items()
            }
        pictures = {method: one.pictures for method, one in rows.items()}
        return SimpleNamespace(
            pictures=pictures, told=told, guider_calls={method: one.guider_calls for method, one in rows.items()}
        )

    return drawn


def differences(folder, pictures):
    """By method, how far the first person's pictures are from those of the same prompts that nodes draw in process.

    In steps of 8 bits, to which the host cuts values off when it saves them.
    """
    found = {}
    for record in read_records(folder / "work" / "records.jsonl"):
        of_row = pictures.get(record.method, ())
        if record.identity == "000" and record.start_step is None and record.prompt <= len(of_row):
            expected = (255 * of_row[record.prompt - 1].numpy()).clip(0, 255).astype(np.uint8)
            saved = np.asarray(Image.open(record.picture), int)
            found.setdefault(record.method, []).append(np.abs(saved - expected))
    return {method: np.stack(steps) for method, steps in found.items()}


def test_a_batch_of_one_gives_the_same_pictures_in_process(done, in_process, measured):
    """Without the backward flow nothing holds the walk, so that attention's rounding, another in the server, grows."""
    found = differences(done[0], in_process(1).pictures)
    without = np.concatenate([found.pop(NO_BACKWARD), found.pop(DDIM)])
    assert found.keys() == set(METHODS) - {NO_BACKWARD, DDIM}
    measured("fleet against nodes in process, farthest pixel, of 255", max(steps.max() for steps in found.values()))
    measured("the same without the backward flow", without.max())
    measured("the same without the backward flow, mean", without.mean())
    assert all(steps.max() <= 1 for steps in found.values())
    assert without.mean() <= 0.5


def test_in_a_larger_batch_rounding_moves_few_pixels(done, in_process, measured):
    """The swapped face goes through 8 bits, and one step there is amplified by the inversion."""
    found = differences(done[0], in_process(PROMPTS).pictures)
    mean = max(steps.mean() for steps in found.values())
    measured("fleet against batches in process, mean of the picture farthest off, of 255", mean)
    assert mean <= 1
    assert all(found[method].max() <= 1 for method in (SCENE, PHOTOMAKER))


def test_numbers_are_those_of_a_batch_in_process(results, in_process, measured):
    farthest = 0
    for method, told in in_process(PROMPTS).told.items():
        found = dict(results["people"]["000"][title(method)])
        found["no_face"] = found.pop(absent_column("similarity"))
        assert found.keys() == told.keys()
        farthest = max([farthest, *(abs(found[column] - value) for column, value in told.items())])
    measured("numbers by the fleet and by a batch in process, farthest apart, in percent", farthest)
    assert farthest <= 1

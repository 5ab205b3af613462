"""Measured rows to the paper's tables: means, intervals, the paper's numbers and claims, figure 10, what is absent."""

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from standins.clip_folder import write_clip

from paper import figure, protocol, results
from paper.claims import NOT_MEASURED, claims_of, judge
from paper.methods import FULL_INSTANTID, FULL_PHOTOMAKER, FUSION, INPUT, PHOTOMAKER, SCENE, SWAPPED, TITLES, title
from paper.metrics import TITLES as COLUMN_TITLES
from paper.numbers import printed_tables
from paper.records import Record, write_records
from paper.summary import absent_column, curve_of, methods_of, people_of
from paper.tables import markdown
from paper.weights import CLIP

FULL, ALONE = TITLES[FULL_PHOTOMAKER], TITLES[PHOTOMAKER]


def row(method, identity, prompt, start_step=None, **values):
    forward_scale = None if start_step is None else 2.0
    place = {"forward_scale": forward_scale, "prompt": prompt, "seed": prompt and 0, "file": prompt and f"{prompt}.png"}
    return {"method": method, "start_step": start_step, "identity": identity, **place, "values": values}


def many(method, level, people=12, prompts=3, spread=0.02, start_step=None, **more):
    """Rows of so many people around a level of Face Sim.; the same people stray alike in every method."""
    strays = np.random.default_rng(0).normal(size=(people, prompts)) * spread
    return [
        row(method, f"p{person}", prompt + 1, start_step, face_sim=level + strays[person, prompt], **more)
        for person in range(people)
        for prompt in range(prompts)
    ]


class TestSummary:
    def test_a_picture_without_a_face_counts_as_0_and_beside_it(self):
        rows = [row("m", "a", n + 1, face_sim=value, clip_t=0.3) for n, value in enumerate((0.5, None, 0.7, None))]
        assert people_of(rows)["a"]["m"] == pytest.approx(
            {"face_sim": 30.0, absent_column("face_sim"): 50.0, "clip_t": 30.0}
        )

    def test_values_of_a_persons_pictures_together_stand_as_they_are(self):
        rows = [row("m", "a", 1, clip_t=0.3), row("m", "a", None, scene_div=0.6), row("m", "b", None, scene_div=0.4)]
        people = people_of(rows)
        assert people["a"]["m"] == pytest.approx({"clip_t": 30, "scene_div": 60})
        assert methods_of(rows, people)["m"]["scene_div"]["mean"] == pytest.approx(50)
        assert methods_of(rows, people)["m"]["clip_t"]["people"] == 1

    def test_people_count_alike_however_many_pictures_they_have(self):
        rows = [row("m", "a", n, clip_t=0.1) for n in range(1, 10)] + [row("m", "b", 1, clip_t=0.3)]
        assert methods_of(rows, people_of(rows))["m"]["clip_t"]["mean"] == pytest.approx(20)

    def test_an_interval_is_over_people_and_not_over_pictures(self):
        """Pictures of one person that are all alike add nothing: the interval is the one of the people's means."""
        levels = np.random.default_rng(1).normal(0.6, 0.1, 100)
        rows = [row("m", f"p{n}", k, clip_i=level) for n, level in enumerate(levels) for k in range(1, 9)]
        found = methods_of(rows, people_of(rows))["m"]["clip_i"]
        half = 100 * 1.96 * levels.std() / np.sqrt(100)
        assert (found["mean"] - found["low"], found["high"] - found["mean"]) == pytest.approx((half, half), rel=0.1)

    def test_fid_is_the_whole_methods_and_its_interval_lies_around_it(self):
        pseudo = np.random.default_rng(2).normal(300, 20, 50)
        rows = [row("m", f"p{n}", None, fid=value) for n, value in enumerate(pseudo)] + [
            row("m", None, None, fid=350.0)
        ]
        found = methods_of(rows, people_of(rows))["m"]["fid"]
        assert found["mean"] == 350 and found["low"] < 350 < found["high"]
        assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * pseudo.std() / np.sqrt(50), rel=0.15)

    def test_the_curve_has_a_point_for_each_method_and_starting_step(self):
        rows = (
            many(FULL_PHOTOMAKER, 0.5, start_step=20) + many(FULL_PHOTOMAKER, 0.4, start_step=0) + many(PHOTOMAKER, 0.3)
        )
        points = curve_of(rows, methods_of(rows, people_of(rows)))
        assert [(point["method"], point["start_step"]) for point in points] == [
            (FULL_PHOTOMAKER, 0),
            (FULL_PHOTOMAKER, 20),
        ]
        assert points[1]["face_sim"]["mean"] > points[0]["face_sim"]["mean"] and points[0]["clip_iqa"] is None


class TestClaims:
    def test_each_stands_in_the_papers_own_numbers(self):
        tables = printed_tables()
        for name in tables:
            numbers = tables["I"].rows | tables["IV"].rows if name == "IV" else tables[name].rows
            for column, higher, lower, paper, place in claims_of(name):
                assert numbers[higher][column] > numbers[lower][column]
                assert paper == f"{numbers[higher][column]:.1f} > {numbers[lower][column]:.1f}"
                assert name in place

    def test_they_are_the_papers(self):
        first, parts = claims_of("I"), claims_of("IV")
        assert ("scene_div", FULL_PHOTOMAKER, PHOTOMAKER, "60.0 > 52.2", "table I") in first
        assert ("fid", PHOTOMAKER, FULL_PHOTOMAKER, "473.9 > 416.3", "table I") in first
        assert ("face_sim", FULL_INSTANTID, "instantid", "70.5 > 61.1", "table I") in first
        assert ("face_sim", FULL_PHOTOMAKER, SWAPPED, "67.3 > 63.5", "tables I, IV") in parts
        assert ("face_sim", SWAPPED, SCENE, "63.5 > 18.7", "table IV") in parts

    def test_a_difference_is_judged_over_those_who_have_both(self):
        people = [{FULL: {"face_sim": 50.0 + n}, ALONE: {"face_sim": 40.0 + n}} for n in range(5)]
        people += [{FULL: {"face_sim": 0.0}}]
        claim = ("face_sim", FULL, ALONE, "67.3 > 55.7", "table I")
        (found,) = judge(people, [claim])
        assert found["difference"] == {"mean": 10, "low": 10, "high": 10}
        assert (found["verdict"], found["people"]) == ("holds", 5)
        (turned,) = judge(people, [("face_sim", ALONE, FULL, "", "")])
        assert turned["verdict"] == "reversed"

    def test_with_one_person_it_is_not_measured(self):
        (found,) = judge([{FULL: {"fid": 1.0}, ALONE: {"fid": 2.0}}], [("fid", ALONE, FULL, "2 > 1", "table I")])
        assert (found["difference"], found["verdict"]) == (None, NOT_MEASURED)


@pytest.fixture
def rows():
    """Two methods, a part, one of another name, and two starting steps."""
    rows = many(FULL_PHOTOMAKER, 0.6, clip_iqa=0.9) + many(PHOTOMAKER, 0.5) + many(SCENE, 0.1) + many("rival", 0.2)
    rows += many(FULL_PHOTOMAKER, 0.55, start_step=10) + many(FULL_PHOTOMAKER, 0.65, start_step=30)
    return [*rows, row(FULL_PHOTOMAKER, "p0", None, fid=400.0), row(FULL_PHOTOMAKER, None, None, fid=410.0)]


@pytest.fixture
def found(rows):
    return results.results_of(rows, {"dino": "DINO: dino-vits16 is not there."}, {"machine": "a machine"})


def table_of(page, heading):
    """The cells of the table below a heading, without its line of dashes."""
    lines = page[page.index(heading) :].split("\n\n")[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


class TestPage:
    def test_a_table_has_the_papers_number_below_ours(self, found):
        head, *lines = table_of(markdown(found), "## Table I:")
        at = head.index("Face Sim. ↑")
        ours, theirs = next((line, after) for line, after in pairwise(lines) if line[0] == FULL)
        assert ours[at].startswith(f"{found['methods'][FULL]['face_sim']['mean']:.1f} (")
        assert theirs[:1] == ["*the paper*"] and theirs[at] == "*67.3*" and theirs[head.index("FID ↓")] == "*416.3*"
        assert ours[head.index("FID ↓")].startswith("410.0 (")
        assert ours[head.index("DINO ↑")] == "" and theirs[head.index("DINO ↑")] == "*85.4*"

    def test_every_number_of_the_paper_is_there(self, found):
        page = markdown(found)
        for name in ("I", "IV"):
            cells = {cell for line in table_of(page, f"## Table {name}:") for cell in line}
            assert {f"*{n:.1f}*" for numbers in printed_tables()[name].rows.values() for n in numbers.values()} <= cells

    def test_it_says_how_it_was_measured_and_what_was_not(self, found):
        page = markdown(found)
        assert protocol.in_short() in page and "- machine: a machine" in page
        assert "- DINO: dino-vits16 is not there." in page

    def test_other_methods_and_columns_have_a_table_of_their_own(self, found):
        head, *lines = table_of(markdown(found), "## Other measurements")
        assert [line[0] for line in lines] == ["rival"] and "Face Sim. ↑" in head

    def test_columns_that_are_not_the_papers_are_shown_for_every_method(self):
        rows = [row(FULL_PHOTOMAKER, person, 1, similarity=0.5, background=0.1) for person in "ab"]
        head, *lines = table_of(markdown(results.results_of(rows, {}, {})), "## Other measurements")
        assert (
            head == ["method", "face similarity ↑", "no face found, %", "background distance ↓"] and lines[0][0] == FULL
        )

    def test_guider_calls_stand_in_the_last_column_where_they_are_known(self, rows):
        page = markdown(results.results_of(rows, {}, {}, guider_calls={FULL_PHOTOMAKER: 151, "rival": 7}))
        head, *lines = table_of(page, "## Table I:")
        told = {line[0]: line[-1] for line in lines}
        assert head[-1] == "guider calls" and {len(line) for line in lines} == {len(head)}
        assert (told[FULL], told[ALONE], told["*the paper*"]) == ("151", "", "")
        assert table_of(page, "## Other measurements")[1][-1] == "7"

    def test_table_ii_is_of_the_second_rows(self, rows):
        second = many(FULL_PHOTOMAKER, 0.3) + many(PHOTOMAKER, 0.2)
        found = results.results_of(rows, {}, {}, second)
        head, ours, theirs, *_ = table_of(markdown(found), "## Table II:")
        at = head.index("Face Sim. ↑")
        assert float(ours[at].split()[0]) == pytest.approx(30, abs=1) and theirs[at] == "*66.2*"
        assert [c["verdict"] for c in found["claims"] if c["place"] == "table II" and c["column"] == "face_sim"] == [
            "holds",
            NOT_MEASURED,
        ]

    def test_without_second_rows_there_is_no_table_ii(self, found):
        assert "## Table II" not in markdown(found)
        assert not [claim for claim in found["claims"] if claim["place"] == "table II"]

    def test_claims_are_judged_by_the_names_of_the_tables(self, found):
        verdicts = {(c["column"], c["higher"], c["lower"]): c["verdict"] for c in found["claims"]}
        assert verdicts["face_sim", FULL, ALONE] == "holds"
        assert verdicts["face_sim", title(FULL_PHOTOMAKER, 30, 2), ALONE] == "holds"
        assert verdicts["face_sim", TITLES[SWAPPED], ALONE] == NOT_MEASURED
        assert not any(column == "clip_t" for column, *_ in verdicts)

    def test_unequal_numbers_of_pictures_are_told(self, rows, found):
        assert found["about"]["pictures"].startswith("36 of each")
        fewer = results.results_of(rows[1:], {}, {})
        assert f"{FULL} 35" in fewer["about"]["pictures"] and "FIDs of unequal" in fewer["about"]["pictures"]
        without_fid = results.results_of([one for one in rows[1:] if "fid" not in one["values"]], {}, {})
        assert f"{FULL} 35" in without_fid["about"]["pictures"] and "FID" not in without_fid["about"]["pictures"]

    def test_photographs_do_not_count_as_pictures_of_a_method(self, rows):
        photographs = [row(INPUT, "p0", number, face_sim=0.5) for number in range(1, 6)]
        assert results.results_of(rows + photographs, {}, {})["about"]["pictures"] == "36 of each method"


class TestFigure:
    def test_it_has_the_method_over_its_steps_and_what_it_plugs_into_as_a_level(self, found):
        lines = figure.series(found, "face_sim")
        steps, values = lines[f"{FULL}, f = 2"]
        assert steps == [10, 30] and values[0] < values[1]
        assert lines[ALONE] == ([10, 30], [found["methods"][ALONE]["face_sim"]["mean"]] * 2)
        assert figure.series(found, "clip_iqa") == {}

    def test_starting_steps_without_a_scale_have_a_line_and_a_page_too(self):
        rows = [
            row(method, person, 1, start, face_sim=0.5) | {"forward_scale": None}
            for method, start in ((FULL_PHOTOMAKER, 20), (FULL_PHOTOMAKER, 0), (PHOTOMAKER, None))
            for person in "ab"
        ]
        found = results.results_of(rows, {}, {})
        assert figure.series(found, "face_sim")[FULL][0] == [0, 20]
        _, *lines = table_of(markdown(found), "## Over the starting step")
        assert [line[:3] for line in lines] == [[FULL, "", "0"], [FULL, "", "20"]]

    def test_the_fusion_has_a_figure_of_its_own_with_both_people(self):
        rows = [
            row(FUSION, person, 1, start, similarity=0.01 * start, swapped_in=0.5 - 0.01 * start)
            for person in "ab"
            for start in (30, 0)
        ]
        found = results.results_of(rows, {}, {})
        assert figure.series(found, "similarity") == figure.series(found, "swapped_in") == {}
        assert figure.fusion_series(found) == {
            "forward flow, f = 2": ([0, 30], pytest.approx([0, 30])),
            "swapped in, f = 2": ([0, 30], pytest.approx([50, 20])),
        }

    def test_all_files_are_written(self, found, tmp_path):
        written = results.write(found, tmp_path / "new", "paper")
        assert [path.name for path in written] == ["paper.md", "paper.json", "paper-face_sim.png"]
        assert json.loads(written[1].read_text(encoding="utf-8")) == json.loads(json.dumps(found))
        assert Image.open(written[2]).size == (1200, 720)


class TestProtocol:
    def test_its_numbers_are_those_that_a_run_takes(self):
        short = protocol.in_short()
        assert f"{protocol.IDENTITIES} people of CelebA-HQ with more than {protocol.MORE_THAN} pictures" in short
        assert f"{protocol.SIZE} × {protocol.SIZE} pixels, {protocol.STEPS} DDIM steps, cfg {protocol.CFG:g}" in short
        assert f"{protocol.PER_PROMPT} picture of each prompt" in short and f"MSS is {protocol.START_STEP}" in short
        assert all(column in short for column in COLUMN_TITLES.values())

    def test_no_two_pictures_have_the_same_noise(self):
        seeds = {protocol.noise_seed(person, prompt) for person in range(30) for prompt in range(1, 41)}
        assert len(seeds) == 1200


@pytest.fixture
def given(tmp_path):
    """Records of two people by two methods, and a folder of weights with CLIP alone."""
    write_clip(tmp_path / "weights" / CLIP.name)
    rng = np.random.default_rng(0)
    records = []
    for method in (FULL_PHOTOMAKER, PHOTOMAKER):
        for person in "ab":
            for prompt in (1, 2):
                path = tmp_path / f"{method}-{person}-{prompt}.png"
                Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
                records.append(Record(method, person, prompt, 0, path, "a photo of a woman", others=(path,)))
    write_records(records, tmp_path / "records.jsonl")
    return tmp_path


def run(given, *more):
    from paper.__main__ import main

    places = ["--weights", str(given / "weights"), "--results", str(given / "results"), "--device", "cpu"]
    main([str(given / "records.jsonl"), *places, *more])


def test_the_command_writes_a_page_of_what_can_be_measured(given, capsys):
    run(given, "--metrics", "clip_t", "clip_i", "dino", "fid")
    out = given / "results"
    said = capsys.readouterr()
    assert "DINO: dino-vits16 is not there" in said.err and str(out / "paper.md") in said.out
    page = (out / "paper.md").read_text(encoding="utf-8")
    head, ours, *_ = table_of(page, "## Table I:")
    assert ours[head.index("CLIP-I ↑")].startswith("100.0 (100.0 … 100.0)") and ours[head.index("DINO ↑")] == ""
    assert "- FID: no folder with reference pictures" in page and "- ComfyUI: " in page
    assert len((out / "paper-rows.jsonl").read_text(encoding="utf-8").splitlines()) == 8


def test_a_second_run_measures_nothing_anew(given, monkeypatch):
    run(given, "--metrics", "clip_t")
    page = (given / "results" / "paper.md").read_text(encoding="utf-8")
    monkeypatch.setattr("paper.clip_scores.Clip.pictures", None)
    run(given, "--metrics", "clip_t")
    assert (given / "results" / "paper.md").read_text(encoding="utf-8") == page


def test_records_that_are_wrong_end_the_command_in_a_sentence(given):
    (given / "records.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit, match="paper: .*records.jsonl, line 1: is no record"):
        run(given)

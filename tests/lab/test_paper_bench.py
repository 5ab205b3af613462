"""The paper bench before and after the fleet: job list, records, samples, command line."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import dev  # loaded by conftest.py
from fleet.cost import guider_calls
from fleet.job_list import read_job_list
from fleet.ledger import Ledger, Output
from fleet.plan import Plan
from paper import bench, planning
from paper.api_graphs import SAVED, titled
from paper.graphs import PROMPT_WITHOUT_PERSON, curve_drawings, drawings
from paper.jobs import calls_of, records_of, row_of, write_jobs
from paper.methods import (
    DDIM,
    DELAYED,
    DREAMBOOTH,
    FULL_INSTANTID,
    FULL_PHOTOMAKER,
    FUSION,
    INPUT,
    INSTANTID,
    NO_BACKWARD,
    NO_FORWARD,
    PHOTOMAKER,
    SCENE,
    SWAPPED,
)
from paper.mtcnn import Face
from paper.pictures import digest
from paper.places import Sample, first_of, places_of, read_sample, spread
from paper.pocket_cases import held_out_case
from paper.pocket_people import pocket_places
from paper.prompts import read_prompts
from paper.protocol import noise_seed
from paper.usual import OUTPUT, PAPER, POCKET

PROMPTS = read_prompts()
ALL = [method for method in PAPER.methods if method != INPUT]


def by_name(methods=ALL, *arguments, **more):
    return {drawing.name: drawing for drawing in drawings(methods, *arguments, **more)}


class TestJobs:
    def planned(self, folder, work):
        return list(Plan(read_job_list(write_jobs(work, folder))).jobs())

    def test_the_fleet_takes_every_job_and_its_labels_say_what_it_is(self, place, tmp_path):
        of_place = drawings(ALL) + curve_drawings(ALL, [0, 20])
        jobs = self.planned(tmp_path, [(place(), of_place), (place("bob", 2, 6, dataset="second"), of_place)])
        assert len({job.id for job in jobs}) == len(jobs) == 2 * len(of_place)
        labels = [{name: value for name, value in job.row.items() if name.startswith("label.")} for job in jobs]
        said = {"label.method": FULL_INSTANTID, "label.identity": "ann", "label.prompt": 1}
        second = {"label.identity": "bob", "label.prompt": 2, "label.dataset": "second"}
        for expected in (said, said | {"label.start_step": 20, "label.scale": 2}, said | second):
            assert labels.count(expected) == 1

    def test_a_scene_is_the_same_whoever_comes_in_and_by_which_method(self, place, tmp_path):
        of_place = drawings([FULL_PHOTOMAKER, NO_FORWARD, FULL_INSTANTID, SCENE])
        work = [(place(name), of_place) for name in ("ann", "bob")]
        first = {job.stages.split()[0] for job in self.planned(tmp_path, work)}
        assert len(first) == 1
        for other in ({"seed": 6}, {"prompt": 2}):
            moved = self.planned(tmp_path / "other", [(place(**other), of_place)])
            assert {job.stages.split()[0] for job in moved}.isdisjoint(first)

    def test_another_reference_is_another_inversion(self, place, tmp_path):
        jobs = self.planned(
            tmp_path, [(place(name), drawings([FULL_PHOTOMAKER, NO_FORWARD])) for name in ("ann", "bob")]
        )
        inversions = [job.stages.split()[1] for job in jobs]
        assert inversions[0] == inversions[1] != inversions[2] == inversions[3]

    def test_calls_are_those_of_the_method(self):
        columns = {"Schedule.steps": 50}
        found = drawings([*ALL, DELAYED, DDIM], columns) + curve_drawings([*ALL, FUSION], [20], columns=columns)
        calls = {
            drawing.name: sum(guider_calls(drawing.graph, node_id) for node_id in drawing.graph) for drawing in found
        }
        scene, inversion = 50, 51
        both = scene + inversion
        assert calls == {
            **dict.fromkeys((PHOTOMAKER, INSTANTID, DELAYED), 50),
            DDIM: 50 + 50 + 50,
            **dict.fromkeys((FULL_PHOTOMAKER, FULL_INSTANTID, NO_FORWARD, NO_BACKWARD), both + 50),
            **{f"{name}-from-20-by-2": both + 20 + 2 * 30 for name in (FULL_PHOTOMAKER, FULL_INSTANTID, FUSION)},
        }
        assert calls_of(found) == {
            **dict.fromkeys((PHOTOMAKER, INSTANTID, DELAYED, SCENE, SWAPPED), 50),
            **dict.fromkeys((FULL_PHOTOMAKER, FULL_INSTANTID, NO_FORWARD, NO_BACKWARD), 151),
            DDIM: 150,
        }

    def test_the_trigger_goes_to_photomaker_alone(self, place):
        found, one = by_name(), place()
        for name, drawing in found.items():
            row = row_of(one, drawing)
            assert (" img" in row["Prompt.text"]) == (name not in (INSTANTID, FULL_INSTANTID))
            assert row["Prompt.text"].replace(" img", "") == one.prompt.text("woman")
            assert row.get(f"{PROMPT_WITHOUT_PERSON}.text", one.prompt.text("woman")) == one.prompt.text("woman")


class TestRecords:
    @pytest.fixture
    def work(self, place):
        of_place = drawings([FULL_PHOTOMAKER, SCENE, INSTANTID]) + curve_drawings([FULL_PHOTOMAKER], [10])
        facts = {"kind": "beach"}
        return [(place("ann", 1, facts=facts), of_place), (place("ann", 2), of_place), (place("bob", 1, 7), of_place)]

    @pytest.fixture
    def rows(self, work, tmp_path):
        """Run the list by hand; jobs of which a row says `failed` fail. Returns the ledger's rows."""

        def run(failed=lambda row: False):
            ledger = Ledger(tmp_path / "fleet")
            jobs = {job.id: job for job in Plan(read_job_list(write_jobs(work, tmp_path))).jobs()}
            ledger.plan(jobs.values(), "list")
            for number, *_ in list(ledger.in_order("waiting")):
                job = ledger.job(number)
                name = job["row"]["workflow"].removeprefix("graphs/").removesuffix(".json")
                drawing = next(drawing for drawing in work[0][1] if drawing.name == name)
                ledger.submit(number, "host")
                if failed(job["row"]):
                    ledger.fail(number, "no face")
                    continue
                titles = [*drawing.outputs, "A node of no interest"]
                ledger.finish(number, 1.0, [Output(title, f"pictures/{number} {title}.png") for title in titles])
            found = list(ledger.rows())
            ledger.close()
            return found

        return run

    METHODS = {"": (FULL_PHOTOMAKER, SCENE, INSTANTID), "second": (INSTANTID,)}

    def test_each_picture_goes_to_its_method_person_prompt_and_start(self, rows, work, tmp_path):
        ledger_rows = rows()
        found = records_of(ledger_rows, tmp_path / "fleet", work, self.METHODS)
        records = found.records[""]
        assert not found.left_out and len(records) == len({one.picture for one in records}) == 4 * len(work)
        by_number = {row["number"]: row["row"] for row in ledger_rows}
        titles = {FULL_PHOTOMAKER: SAVED, INSTANTID: SAVED, SCENE: "Scene with an anonymous person"}
        for one in records:
            number, _, file = one.picture.name.partition(" ")
            row = by_number[int(number)]
            assert file == f"{titles[one.method]}.png" and one.picture.parent == tmp_path / "fleet" / "pictures"
            assert (row["label.identity"], row["label.prompt"]) == (one.identity, one.prompt)
            assert (row.get("label.start_step"), row.get("label.scale")) == (one.start_step, one.forward_scale)
            assert row["Seed of the scene.noise_seed"] == one.seed
            assert one.text == PROMPTS[one.prompt - 1].text("woman") and one.references[0].parent.name == one.identity
        assert {one.facts.get("kind") for one in records if (one.identity, one.prompt) == ("ann", 1)} == {"beach"}

    def test_the_scene_of_a_place_stands_beside_all_its_pictures(self, rows, work, tmp_path):
        found = records_of(rows(), tmp_path, work, self.METHODS).records[""]
        scenes = {(one.identity, one.prompt): one.picture for one in found if one.method == SCENE}
        assert all(one.scene == scenes[one.identity, one.prompt] for one in found)

    def test_only_the_methods_that_are_asked_for_count(self, rows, work, tmp_path):
        found = records_of(rows(), tmp_path, work, {"": [FULL_PHOTOMAKER]}).records[""]
        assert {one.method for one in found} == {FULL_PHOTOMAKER} and all(one.scene for one in found)

    def test_jobs_that_are_one_to_the_fleet_give_each_place_its_record(self, rows, work, place, tmp_path):
        """As where a second dataset has a photograph of the first."""
        work.append((place("ann", 1, dataset="second"), work[0][1]))
        ledger_rows = rows()
        assert len(ledger_rows) == 3 * len(work[0][1])
        found = records_of(ledger_rows, tmp_path, work, self.METHODS)
        assert not found.left_out
        (second,) = found.records["second"]
        (first,) = (one for one in found.records[""] if (one.method, one.picture) == (INSTANTID, second.picture))
        assert (first.identity, first.prompt) == (second.identity, second.prompt) == ("ann", 1)

    def test_where_one_method_fails_no_other_counts(self, rows, work, tmp_path):
        failed = rows(lambda row: row["label.method"] == INSTANTID and row["label.prompt"] == 2)
        found = records_of(failed, tmp_path, work, self.METHODS)
        assert found.left_out == [("", "ann", 2)]
        assert {(one.identity, one.prompt) for one in found.records[""]} == {("ann", 1), ("bob", 1)}


class FrontalFaces:
    """A Detector to which every picture shows the full face."""

    def largest(self, path):
        points = np.array([[3, 3], [5, 3], [4, 4], [3, 5], [5, 5]], float)
        return Face(np.array([2, 2, 6, 6], float), points, 1.0)


class TestSamples:
    def test_reading(self):
        assert read_sample("2x8") == Sample(2, 8)
        assert read_sample("2x8x3") == Sample(2, 8, 3)
        for text in ("2", "x", "2x", "0x3", "2x0", "-1x2", "2x3x0", "2x3x4x5"):
            with pytest.raises(ValueError, match=text):
                read_sample(text)

    def test_prompts_are_spread_over_the_list(self):
        assert spread(range(40), 4) == [0, 10, 20, 30] and spread(range(3), None) == spread(range(3), 9) == [0, 1, 2]
        assert {PROMPTS[n].kind for n in spread(range(40), 20)} == {prompt.kind for prompt in PROMPTS}

    def test_a_sample_is_a_part_of_the_whole_with_the_protocols_seeds(self, photographs, tmp_path):
        whole, inputs = places_of(tmp_path, Sample(), FrontalFaces())
        some, _ = places_of(tmp_path, Sample(1, 4), FrontalFaces())
        assert len(whole) == 80 and len(some) == 4 and all(one in whole for one in some)
        numbers = {"ann": 0, "bob": 1}
        assert all(one.seed == noise_seed(numbers[one.identity], one.prompt.number) for one in whole)
        assert len({one.seed for one in whole}) == 80
        assert [record.method for record in inputs] == [INPUT] * 4
        assert all(one.reference not in one.others and one.reference.parent.name == one.identity for one in whole)

    def test_everyone_without_a_full_face_is_named(self, photographs, tmp_path):
        with pytest.raises(ValueError, match=r"(?s)ann: none.*bob: none"):
            places_of(tmp_path, Sample(), SimpleNamespace(largest=lambda path: None))

    def test_further_pictures_of_a_prompt_have_noise_of_their_own(self, photographs, tmp_path):
        once, _ = places_of(tmp_path, Sample(2, 3), FrontalFaces())
        twice, _ = places_of(tmp_path, Sample(2, 3, 2), FrontalFaces())
        assert twice[::2] == once and len({one.seed for one in twice}) == 12

    def test_the_first_of_some_places_are_those_of_the_first_people_prompts_and_pictures(self, photographs, tmp_path):
        places, _ = places_of(tmp_path, Sample(2, 3, 2), FrontalFaces())
        assert first_of(places, Sample(1, 2, 1)) == [True, False, True, False, False, False] + [False] * 6
        assert first_of(places, Sample()) == [True] * 12
        assert first_of(places, Sample(2, 3, 1)) == [True, False] * 6

    def test_the_pocket_worlds_prompts_and_pictures_are_its_cases(self, tmp_path):
        places, inputs = pocket_places(tmp_path, Sample(2, 3, 2))
        for number in range(2):
            case = held_out_case(number, 3, pictures=2)
            mine = [one for one in places if one.identity == f"{number:03}"]
            assert [one.prompt.text(one.word, "img") for one in mine] == case.texts
            assert [one.facts["kind"] for one in mine] == [scene.kind for scene, _ in case.described]
            assert {one.seed for one in mine} == {case.seed}
            for file, expected in zip(
                [mine[0].reference, *mine[0].others], [case.person.reference[0], *case.person.views], strict=True
            ):
                assert np.array_equal(np.asarray(Image.open(file), np.float32) / 255, expected.numpy())
            assert [one.prompt.number for one in mine] == [1, 1, 2, 2, 3, 3]
            assert {one.swapped_in for one in mine} == {mine[0].swapped_in} and len(mine[0].swapped_in) == 5
            assert not {*map(digest, mine[0].swapped_in)} & {*map(digest, [mine[0].reference, *mine[0].others])}
        assert len(inputs) == 2 * 5
        assert [one.columns["Place in the batch.batch_index"] for one in places] == [0, 1, 2, 3, 4, 5] * 2


class TestCommand:
    def options(self, monkeypatch, *arguments):
        """What the command line comes to, without running it."""
        found = []
        monkeypatch.setattr(bench, "_run", lambda options: found.append(options) or 0)
        monkeypatch.setattr(bench, "missing", lambda models: [])
        assert bench.main([*map(str, arguments)]) == 0
        return found[0]

    def test_the_pocket_world_has_its_own_size_and_steps(self, monkeypatch, tmp_path):
        pocket = self.options(monkeypatch, "--pocket", "--models", tmp_path)
        real = self.options(monkeypatch, "--faces", tmp_path, "--models", tmp_path)
        assert (pocket.size, pocket.steps, real.size, real.steps) == (128, 15, 1024, 50)
        assert (pocket.starts, real.starts) == ([0, 2, 3, 6, 10, 15], [0, 10, 20, 30, 40])
        assert (pocket.name, pocket.work, pocket.results) == ("pocket", OUTPUT / "pocket", POCKET.results)
        assert (real.name, real.work, real.results) == ("paper", OUTPUT / "paper", OUTPUT)
        assert DREAMBOOTH not in real.methods and set(ALL) < set(real.methods)

    def test_a_sample_does_not_write_over_the_whole(self, monkeypatch, tmp_path):
        found = self.options(monkeypatch, "--pocket", "--models", tmp_path, "--sample", "2x2")
        assert (found.name, found.work, found.results) == ("pocket-sample", OUTPUT / "pocket-sample", OUTPUT)

    def test_a_graph_of_ones_own_joins_the_methods(self, monkeypatch, tmp_path):
        (tmp_path / "own.json").write_text("{}")
        mine = ["--graph", f"dreambooth={tmp_path / 'own.json'}"]
        found = self.options(monkeypatch, "--pocket", "--models", tmp_path, "--methods", SCENE, *mine)
        assert found.methods == [SCENE, DREAMBOOTH] and found.graph == {DREAMBOOTH: tmp_path / "own.json"}

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ([], "--faces DIR, or --pocket"),
            (["--pocket", "--faces", "DIR"], "--faces DIR, or --pocket"),
            (["--pocket"], "needs --models"),
            (["--faces", "DIR"], "needs --models"),
            (["--pocket", "--models", "DIR", "--sample", "2"], "PEOPLExPROMPTS"),
            (["--pocket", "--models", "DIR", "--second-faces", "DIR"], "--second-faces: is not for the pocket world"),
            (["--pocket", "--models", "DIR", "--weights", "DIR"], "--weights: is not for the pocket world"),
            (["--pocket", "--models", "DIR", "--set", "start_step=6"], "TITLE.INPUT=VALUE"),
            (["--pocket", "--models", "DIR", "--graph", "a=no-such-file"], "no-such-file"),
        ],
    )
    def test_what_is_lacking_is_named(self, capsys, arguments, told):
        with pytest.raises(SystemExit):
            bench.main(arguments)
        assert told in capsys.readouterr().err

    def test_the_second_dataset_is_drawn_by_the_methods_of_table_ii(self, monkeypatch, photographs, tmp_path):
        monkeypatch.setattr(planning, "Detector", lambda *_, **__: FrontalFaces())
        folders = ["--faces", tmp_path, "--second-faces", tmp_path, "--models", tmp_path, "--sample", "1x2"]
        planned = planning.plan(self.options(monkeypatch, *folders), tmp_path)
        names = {dataset: set() for dataset in ("", "second")}
        for place, of_place in planned.work:
            names[place.dataset] |= {drawing.name for drawing in of_place}
        assert names["second"] == {PHOTOMAKER, INSTANTID, FULL_PHOTOMAKER, FULL_INSTANTID}
        assert names[""] > names["second"] | {f"{FULL_PHOTOMAKER}-from-40-by-2", NO_FORWARD}

    def test_settings_of_ones_own_go_into_the_graphs_that_have_them(self, monkeypatch, tmp_path):
        start, sampler = ["--set", "Pivot and forward flow.start_step=6"], ["--set", "Sampler.sampler_name=heun"]
        options = self.options(monkeypatch, "--pocket", "--models", tmp_path, "--sample", "1x1x1", *start, *sampler)
        assert options.set == {"Pivot and forward flow.start_step": 6, "Sampler.sampler_name": "heun"}
        graphs = {drawing.name: drawing.graph for drawing in planning.plan(options, tmp_path).work[0][1]}
        full = graphs[FULL_PHOTOMAKER]
        assert full[titled(full, "Pivot and forward flow")]["inputs"]["start_step"] == 6
        assert all(graph[titled(graph, "Sampler")]["inputs"]["sampler_name"] == "heun" for graph in graphs.values())

    def test_a_setting_that_no_graph_has_is_refused(self, monkeypatch, tmp_path):
        options = self.options(monkeypatch, "--pocket", "--models", tmp_path, "--set", "No node.start_step=6")
        with pytest.raises(ValueError, match=r"--set No node\.start_step"):
            planning.plan(options, tmp_path)

    @pytest.fixture
    def whole_run(self, monkeypatch, tmp_path):
        """Runs the command on the pocket world. `fleet`, in the fleet's place: from the ledger to an exit status."""

        def run(fleet, *more):
            def draw(options, jobs, folder):
                ledger = Ledger(folder)
                ledger.plan(Plan(read_job_list(jobs)).jobs(), "list")
                status = fleet(ledger)
                ledger.close()
                return status

            monkeypatch.setattr(bench, "draw", draw)
            monkeypatch.setattr(bench, "missing", lambda models: [])
            places = ["--models", tmp_path, "--results", tmp_path / "results", "--work", tmp_path / "work"]
            arguments = ["--pocket", *places, "--sample", "1x1x1", "--starts", *more]
            return bench.main([*map(str, arguments)])

        yield run
        assert not (tmp_path / "results").exists()  # nothing stands in for results

    def test_a_fleet_that_was_killed_is_no_result(self, whole_run):
        assert whole_run(lambda ledger: -9) == -9

    def test_pictures_that_are_not_drawn_yet_are_told(self, whole_run):
        with pytest.raises(SystemExit, match="4 pictures are not drawn yet"):
            whole_run(lambda ledger: 1, "--methods", FULL_PHOTOMAKER, PHOTOMAKER, NO_FORWARD, NO_BACKWARD, INPUT)

    def test_where_every_job_has_failed_there_is_no_result(self, whole_run):
        def fail(ledger):
            for number, *_ in list(ledger.in_order("waiting")):
                ledger.fail(number, "no")
            return 1

        with pytest.raises(SystemExit, match="no prompt of which all methods have a picture"):
            whole_run(fail)

    def test_a_start_beyond_the_steps_is_refused(self, monkeypatch, tmp_path):
        options = self.options(monkeypatch, "--pocket", "--models", tmp_path, "--steps", 10, "--starts", 11)
        with pytest.raises(ValueError, match="--starts 11"):
            planning.plan(options, tmp_path)

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], ["--pocket", "--cpu", "--models", "POCKET"]),
            (["--pocket", "--sample", "2x2"], ["--pocket", "--sample", "2x2", "--cpu", "--models", "POCKET"]),
            (["--models", "DIR", "--faces", "F"], ["--faces", "F", "--models", "DIR"]),
            (["--faces", "F", "--hosts", "URL"], ["--faces", "F", "--hosts", "URL"]),
        ],
    )
    def test_dev_py_takes_the_pocket_world_only_in_the_place_of_models_and_faces(
        self, monkeypatch, tmp_path, arguments, expected
    ):
        called = []
        for name, value in {"environment": "PYTHON", "host": tmp_path, "accelerator": True}.items():
            monkeypatch.setattr(dev, name, lambda *_, value=value: value)
        monkeypatch.setattr(dev, "pocket_world", lambda *_: "POCKET")
        monkeypatch.setattr(dev, "run", lambda *command, **_: called.append(command) or 0)
        monkeypatch.setattr(dev.signal, "signal", lambda *_: None)
        there = {"DIR": str(tmp_path)}
        assert dev.main(["bench", "paper", *(there.get(word, word) for word in arguments)]) == 0
        (command,) = called
        assert command[2] == "paper.bench"
        assert [*map(str, command[3:])] == [there.get(word, word) for word in expected]

"""Records to rows: what is measured once is kept, what changed is measured again, and a broken run goes on."""

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from paper.cache import Cache
from paper.measure import measure, write_rows
from paper.metric import HIGHER, Metric, Score
from paper.records import Record, read_records, write_records

RED = "red"


class Spy:
    """A metric's measure: the red of a picture's first pixel, and a list of the pictures that it was asked for."""

    def __init__(self, dies_at=None):
        self.seen, self._dies_at = [], dies_at

    def __call__(self, records):
        if self._dies_at is not None and len(self.seen) >= self._dies_at:
            raise KeyboardInterrupt
        self.seen += [record.picture.stem for record in records]
        reds = [Image.open(record.picture).getpixel((0, 0))[0] / 255 for record in records]
        return [red or None for red in reds]


def metric_of(spy, **more):
    return Metric(RED, "Red", HIGHER, "1", spy, **more)


@pytest.fixture
def records(tmp_path):
    """Two people with three pictures each by one method, all different; the first has no red."""
    records = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (4, 4), (40 * number, number, 0)).save(path)
        records.append(Record("m", "ab"[number // 3], number % 3 + 1, 0, path, f"text {number}"))
    return records


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "kept" / "measured.sqlite")


def values(rows):
    return [row["values"].get(RED) for row in rows]


def run(records, spy, cache, **more):
    return measure(records, [metric_of(spy, **more)], cache, batch=2, quiet=True)


def test_each_picture_has_a_row_with_its_value_and_none_where_there_is_nothing(records, cache):
    rows = run(records, Spy(), cache)
    assert values(rows)[0] is None
    assert values(rows)[1:] == pytest.approx([40 * n / 255 for n in range(1, 6)], rel=1e-6)
    assert rows[4] == {
        **{"method": "m", "start_step": None, "forward_scale": None, "identity": "b", "prompt": 2, "seed": 0},
        **{"file": str(records[4].picture), "values": rows[4]["values"]},
    }


def test_what_was_measured_is_not_measured_again_not_even_nothing(records, cache):
    first, second = Spy(), Spy()
    rows = run(records, first, cache)
    assert first.seen == list("012345")
    assert run(records, second, cache) == rows and second.seen == []


def test_a_run_that_was_stopped_goes_on_after_the_last_whole_batch(records, cache, tmp_path):
    stopped, rest = Spy(dies_at=4), Spy()
    with pytest.raises(KeyboardInterrupt):
        run(records, stopped, cache)
    rows = run(records, rest, Cache(tmp_path / "kept" / "measured.sqlite"))
    assert stopped.seen == list("0123") and rest.seen == list("45")
    assert rows == run(records, Spy(), Cache(tmp_path / "other.sqlite"))


def test_content_counts_and_not_the_name(records, cache, tmp_path):
    run(records, Spy(), cache)
    moved = tmp_path / "moved.png"
    records[1].picture.rename(moved)
    Image.new("RGB", (4, 4), (255, 0, 0)).save(records[2].picture)
    spy = Spy()
    rows = run([replace(records[1], picture=moved), records[2]], spy, cache)
    assert spy.seen == ["2"] and values(rows) == pytest.approx([40 / 255, 1.0])


def test_two_equal_pictures_are_measured_once(records, cache):
    twin = replace(records[3], method="other")
    spy = Spy()
    rows = run([records[3], twin], spy, cache)
    assert spy.seen == ["3"] and values(rows)[0] == values(rows)[1]


@pytest.mark.parametrize(
    ("reads", "change", "again"),
    [
        (("text",), {"text": "another"}, True),
        ((), {"text": "another"}, False),
        (("facts",), {"facts": {"kind": "beach"}}, True),
        (("start_step",), {"start_step": 4}, True),
    ],
)
def test_what_a_metric_reads_counts_and_nothing_else(reads, change, again, records, cache):
    run(records[1:2], Spy(), cache, reads=reads)
    spy = Spy()
    run([replace(records[1], **change)], spy, cache, reads=reads)
    assert bool(spy.seen) == again


def test_the_files_that_a_metric_reads_count_by_their_content(records, cache):
    one = replace(records[1], others=(records[2].picture, records[3].picture), scene=records[4].picture)
    for spy in (Spy(), Spy()):
        run([one], spy, cache, reads=("others", "scene"))
    assert spy.seen == []
    for path in (records[2].picture, records[4].picture):
        Image.new("RGB", (4, 4), (7, 7, 7)).save(path)
        run([one], spy, cache, reads=("others", "scene"))
    assert spy.seen == ["1", "1"]


def test_other_weights_measure_anew(records, cache):
    run(records, Spy(), cache)
    spy = Spy()
    measure(records, [replace(metric_of(spy), version="2")], cache, quiet=True)
    assert len(spy.seen) == 6


def test_a_metric_of_identities_gets_all_their_pictures_and_has_rows_of_their_own(records, cache):
    units = []

    def spread(records):
        units.append([record.picture.stem for record in records])
        return [float(len(records))]

    mixed = [records[0], *records[3:], *records[1:3]]
    rows = measure(mixed, [metric_of(spread, of_identity=True)], cache, quiet=True)
    assert sorted(units) == [["0", "1", "2"], ["3", "4", "5"]]
    found = {row["identity"]: row["values"] for row in rows if row["prompt"] is None}
    assert found == {"a": {RED: 3.0}, "b": {RED: 3.0}} and all(row["file"] is None for row in rows[6:])
    assert all(row["values"] == {} for row in rows[:6])


def test_a_pooled_metric_gives_a_number_of_the_method_and_those_of_its_people(records, cache):
    def features(records):
        return [np.array([record.prompt, len(record.identity)], float) for record in records]

    def pool(by_identity):
        assert {identity: values.shape for identity, values in by_identity.items()} == {"a": (3, 2), "b": (3, 2)}
        return Score(sum(values.sum() for values in by_identity.values()), dict.fromkeys(by_identity, 9.0))

    rows = measure(records, [metric_of(features, pool=pool, reads=("prompt",))], cache, quiet=True)
    assert rows[-1]["identity"] is None and rows[-1]["values"] == {RED: 18.0}
    assert [row["values"] for row in rows[6:8]] == [{RED: 9.0}, {RED: 9.0}]


def test_starting_steps_are_kept_apart(records, cache):
    steps = [replace(one, start_step=step) for step in (0, 10) for one in records[:3]]
    rows = measure(steps, [metric_of(lambda some: [1.0], of_identity=True)], cache, quiet=True)
    assert [(row["start_step"], row["prompt"]) for row in rows[6:]] == [(0, None), (10, None)]


def test_a_method_that_lacks_what_a_metric_reads_has_no_values_of_it(records, cache):
    bare = [replace(one, method="bare", text="") for one in records[:2]]
    spy = Spy()
    rows = run([*records, *bare], spy, cache, reads=("text",))
    assert len(spy.seen) == 6 and [row["values"] for row in rows[6:]] == [{}, {}]
    rows = run([*records, *bare], lambda some: [1.0], cache, reads=("text",), of_identity=True)
    assert [row["method"] for row in rows[8:]] == ["m", "m"]


def test_a_method_of_which_some_lack_it_is_refused(records, cache):
    with pytest.raises(ValueError, match="Red: some records of m have text, and some have not; .*2.png"):
        run([*records[:2], replace(records[2], text="")], Spy(), cache, reads=("text",))


def test_a_picture_that_stands_there_twice_is_refused(records, cache):
    with pytest.raises(ValueError, match="1.png: stands there twice for m, a"):
        run([*records, records[1]], Spy(), cache)


def test_a_measure_that_loses_a_value_is_refused(records, cache):
    with pytest.raises(ValueError, match="zip"):
        measure(records, [metric_of(lambda some: [1.0])], cache, quiet=True)


def test_a_file_has_a_line_for_each_row(records, cache, tmp_path):
    rows = run(records, Spy(), cache)
    write_rows(rows, tmp_path / "rows.jsonl")
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == rows


class TestRecords:
    def test_they_come_back_from_their_file(self, records, tmp_path):
        others, scene = (records[1].picture, records[2].picture), records[3].picture
        records[0] = replace(records[0], others=others, references=others[:1], scene=scene, facts={"kind": "beach"})
        write_records(records, tmp_path / "records.jsonl")
        assert read_records(tmp_path / "records.jsonl") == records

    def test_paths_start_from_the_files_folder(self, records, tmp_path):
        line = {"method": "m", "identity": "a", "prompt": 1, "seed": 0, "picture": "0.png", "others": ["1.png"]}
        (tmp_path / "records.jsonl").write_text(json.dumps(line), encoding="utf-8")
        (one,) = read_records(tmp_path / "records.jsonl")
        assert one.picture == tmp_path / "0.png" and one.others == (tmp_path / "1.png",) and one.scene is None

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "line 1: is no record"),
            ("[1]", "line 1: is no record of a picture: it is not an object"),
            ('{"method": "m"}', "line 1: is no record"),
            ('{"colour": "red"}', "line 1: is no record of a picture: unknown fields .'colour'"),
            ('{"method":"m","identity":"a","prompt":1,"seed":0,"picture":"9.png"}', "line 1: .*9.png is not there"),
            ("", "names no picture"),
        ],
    )
    def test_a_file_that_is_wrong_is_named(self, line, said, tmp_path):
        (tmp_path / "records.jsonl").write_text(line, encoding="utf-8")
        with pytest.raises(ValueError, match=f"records.jsonl.*{said}"):
            read_records(tmp_path / "records.jsonl")


def test_two_processes_may_keep_values_in_one_file(records, cache, tmp_path):
    """Another one reads what was written, and a write in progress is waited for, not lost."""
    run(records[:2], Spy(), cache)
    other, spy = Cache(tmp_path / "kept" / "measured.sqlite"), Spy()
    run(records, spy, other)
    assert spy.seen == list("2345")
    kept = sqlite3.connect(tmp_path / "kept" / "measured.sqlite").execute("SELECT count(*) FROM measured")
    assert kept.fetchone() == (6,)

"""Job lists as people and scripts write them."""

import json

import pytest

from fleet.errors import FleetError
from fleet.job_list import read_job_list


def listed(folder, name, text, **more):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return list(read_job_list(file, **more).jobs())


def test_csv_gives_a_job_for_each_line_and_an_empty_cell_sets_nothing(tmp_path):
    jobs = listed(tmp_path, "a.csv", 'Prompt.text,Seed.noise_seed\n"a man, smiling",1\na woman,\n')
    assert jobs == [{"Prompt.text": "a man, smiling", "Seed.noise_seed": "1"}, {"Prompt.text": "a woman"}]


def test_json_lines_keep_their_types(tmp_path):
    rows = [{"Seed.noise_seed": 1, "Flow.forward_scale": 0.5}, {"Switch.on": True}]
    assert listed(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n") == rows


def test_a_matrix_is_every_combination_for_every_row(tmp_path):
    (tmp_path / "faces").mkdir()
    for name in ("b.png", "a.png"):
        (tmp_path / "faces" / name).touch()
    text = """
workflow: graph.json
set: {Schedule.steps: 5}
rows: [{Prompt.text: one}, {Prompt.text: two}]
matrix:
  Person.image: {files: "faces/*.png"}
  Seed.noise_seed: {range: [3, 5]}
"""
    jobs = listed(tmp_path, "a.yaml", text)
    assert len(jobs) == 2 * 2 * 3
    common = {"workflow": "graph.json", "Schedule.steps": 5}
    assert jobs[0] == {**common, "Prompt.text": "one", "Person.image": "faces/a.png", "Seed.noise_seed": 3}
    assert jobs[-1] == {**common, "Prompt.text": "two", "Person.image": "faces/b.png", "Seed.noise_seed": 5}


def test_rows_may_come_from_a_table(tmp_path):
    (tmp_path / "rows.csv").write_text("Prompt.text\none\ntwo\n")
    jobs = listed(tmp_path, "a.yaml", "{workflow: graph.json, table: rows.csv, matrix: {Seed.noise_seed: [1, 2]}}")
    assert [job["Prompt.text"] for job in jobs] == ["one", "one", "two", "two"]


def test_a_list_is_read_again_by_each_call(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"a.b": 1}\n')
    jobs = read_job_list(file)
    assert list(jobs.jobs()) == list(jobs.jobs()) == [{"a.b": 1}]


def test_the_command_lines_workflow_is_for_jobs_that_name_none(tmp_path):
    jobs = listed(tmp_path, "a.csv", "workflow,a.b\nown.json,1\n,2\n", workflow=tmp_path / "other.json")
    assert [job["workflow"] for job in jobs] == ["own.json", str(tmp_path / "other.json")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "", "a job list is a .csv, .jsonl or .yaml file"),
        ("a.csv", "a.b,c.d\n1\n", "line 2: has another number of cells"),
        ("a.csv", "a.b\n1,2\n", "line 2: has another number of cells"),
        ("a.jsonl", '{"a.b": 1}\n{"a.b"\n', "line 2: is not JSON"),
        ("a.jsonl", "[1]\n", "line 1: must be"),
        ("a.yaml", "a: [", "is not YAML"),
        ("a.yaml", "jobs: []", "must hold some of matrix, rows, set, table, workflow"),
        ("a.yaml", "{rows: [], table: a.csv}", "has rows and a table"),
        ("a.yaml", "matrix: [1]", "matrix must be a mapping"),
        ("a.yaml", "matrix: {a.b: {files: 'none/*.png'}}", "a.b: no file matches none/*.png"),
        ("a.yaml", "matrix: {a.b: {file: x}}", "a.b: must be a list"),
        ("a.yaml", "matrix: {a.b: {range: 3}}", "a.b: must be a list"),
        ("a.yaml", "rows: [1]", "each of rows must be a mapping"),
        ("a.yaml", "table: a.txt", "must be a .csv or .jsonl file"),
        ("a.yaml", "table: none.csv", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path, name, text, says):
    with pytest.raises(FleetError) as error:
        listed(tmp_path, name, text)
    assert says in str(error.value) and str(tmp_path) in str(error.value)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(FleetError, match="there is no such job list"):
        read_job_list(tmp_path / "none.yaml")


def test_values_of_a_matrix_may_be_links(tmp_path):
    text = '{workflow: graph.json, matrix: {Sample.guider: [["4", 0], ["5", 0]]}}'
    assert [job["Sample.guider"] for job in listed(tmp_path, "a.yaml", text)] == [["4", 0], ["5", 0]]


@pytest.mark.parametrize("values", ["[{a: 1}]", "[[{a: 1}]]", "[2026-01-01]"])
def test_values_that_no_input_can_have_are_refused_with_their_column(tmp_path, values):
    with pytest.raises(FleetError, match=r"column 'Set\.value'.* cannot stand there"):
        listed(tmp_path, "a.yaml", f"{{workflow: graph.json, matrix: {{Set.value: {values}}}}}")

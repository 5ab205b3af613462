"""What a run leaves for people: files that are whole, a table, pages."""

import csv
import html.parser

import pyarrow.parquet
import pytest
from helpers.prompts import node
from PIL import Image

from fleet.command import main
from fleet.host_api import COMPLETED, JobState
from fleet.ledger import Output, Planned
from fleet.report import ON_A_PAGE, write_report
from fleet.results import FilesGone, fetch_outputs, write_whole
from fleet.table import write_table

GRAPH = {
    "save": {**node("SaveImage"), "_meta": {"title": "Final: picture/1"}},
    "look": node("PreviewImage"),
    "score": node("CE_IdentitySimilarity"),
}


class Shelf:
    """A host that only has files. name: of it."""

    name = "shelf"

    def __init__(self, gone=False):
        self._gone = gone

    def fetch(self, file):
        return None if self._gone else file["filename"].encode()


def picture(name, kind="output"):
    return {"filename": name, "subfolder": "", "type": kind}


def completed(**outputs):
    return JobState(COMPLETED, outputs)


def test_what_was_saved_is_fetched_and_previews_are_not(tmp_path):
    state = completed(
        save={"images": [picture("a.png"), picture("b.png")]}, look={"images": [picture("c.png", "temp")]}
    )
    found = fetch_outputs(Shelf(), state, GRAPH, 1234, tmp_path)
    assert [output.file for output in found] == [
        "pictures/001000/001234 Final_ picture_1.png",
        "pictures/001000/001234 Final_ picture_1 2.png",
    ]
    assert (tmp_path / found[1].file).read_bytes() == b"b.png" and found[1].bytes == 5


def test_previews_are_fetched_where_nothing_is_saved_and_texts_always(tmp_path):
    state = completed(
        look={"images": [picture("c.png", "temp")]}, score={"text": ["similarity 0.5"], "animated": (False,)}
    )
    found = fetch_outputs(Shelf(), state, GRAPH, 1, tmp_path)
    assert [(output.node, output.file, output.text) for output in found] == [
        ("PreviewImage", "pictures/000000/000001 PreviewImage.png", None),
        ("CE_IdentitySimilarity", None, "similarity 0.5"),
    ]


def test_files_that_the_host_has_no_more_are_told(tmp_path):
    with pytest.raises(FilesGone, match="a.png is there no more"):
        fetch_outputs(Shelf(gone=True), completed(save={"images": [picture("a.png")]}), GRAPH, 1, tmp_path)


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "a.png"
    write_whole(file, b"old")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, b"new, and longer")
    assert file.read_bytes() == b"old"


@pytest.fixture
def ended(ledger):
    """A ledger with a job of each kind; the first has a picture in its folder."""
    rows = [
        {"Prompt.text": "<b>a man</b>", "Seed.noise_seed": 1, "Flow.scale": 1},
        {"Seed.noise_seed": 2, "Flow.scale": 0.5},
        {"Mixed.value": 3},
        {"Mixed.value": "x"},
    ]
    ledger.plan([Planned(f"id-{line}", line, row, "m", "", "") for line, row in enumerate(rows, 1)], "list")
    ledger.submit(1, "host")
    ledger.finish(1, 2.0, [Output("Save", "pictures/000000/1.png", 3, "00"), Output("Score", text="0.5 & more")])
    ledger.submit(2, "host")
    ledger.fail(2, "Set (1): <wrong>")
    return ledger


def test_the_table_has_every_column_of_the_list_in_its_type(ended, tmp_path):
    file = write_table(ended, tmp_path)
    rows = pyarrow.parquet.read_table(file).to_pylist()
    assert file.name == "results.parquet" and [row["state"] for row in rows] == ["done", "failed", "waiting", "waiting"]
    assert rows[0]["Seed.noise_seed"] == 1 and rows[1]["Flow.scale"] == 0.5 and rows[2]["Prompt.text"] is None
    assert [row["Mixed.value"] for row in rows] == [None, None, "3", "x"]
    assert rows[0]["files"] == ["pictures/000000/1.png"] and rows[0]["texts"] == ["Score: 0.5 & more"]
    assert rows[1]["reason"] == "Set (1): <wrong>"


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        ([-1, 2], "int64", [-1, 2]),
        ([2**64 - 1, 7], "uint64", [2**64 - 1, 7]),  # ComfyUI's largest seed
        ([2**64 - 1, -1], "string", [str(2**64 - 1), "-1"]),
        ([2**64, 1], "string", [str(2**64), "1"]),
        ([0.5, 3], "double", [0.5, 3.0]),
        ([0.5, 2**53 + 1], "string", ["0.5", str(2**53 + 1)]),  # which no double is
        ([None, 1], "int64", [None, 1]),
        ([True, False], "bool", [True, False]),
        ([True, 1], "string", ["true", "1"]),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_it(ledger, tmp_path, values, kind, read):
    ledger.plan([Planned(f"id-{i}", i, {"Seed.noise_seed": value}, "m", "", "") for i, value in enumerate(values)], "")
    table = pyarrow.parquet.read_table(write_table(ledger, tmp_path))
    assert str(table.schema.field("Seed.noise_seed").type) == kind
    assert table["Seed.noise_seed"].to_pylist() == read


@pytest.mark.parametrize(
    ("broken", "kind", "kept"),
    [("results.parquet", "table", "report.html"), ("report.html", "report", "results.parquet")],
)
def test_of_table_and_report_each_is_written_without_the_other(ended, tmp_path, capsys, broken, kind, kept):
    folder = tmp_path / "results"
    (folder / broken).mkdir()  # a file cannot take its place
    ended.close()
    assert main(["report", str(folder)]) == 1
    assert f"fleet: the {kind} cannot be written" in capsys.readouterr().err
    assert (folder / kept).is_file()


def test_without_pyarrow_the_table_is_csv(ended, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    file = write_table(ended, tmp_path)
    with open(file, encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert file.name == "results.csv" and rows[0]["files"] == "pictures/000000/1.png" and rows[3]["Mixed.value"] == "x"


def test_what_all_jobs_have_in_common_is_told_once(ledger, tmp_path):
    rows = [{"workflow": "graph.json", "Schedule.steps": 8, "Seed.noise_seed": seed} for seed in (41, 42)]
    ledger.plan([Planned(f"id-{i}", i, row, "m", "", "") for i, row in enumerate(rows)], "")
    assert ledger.common() == {"workflow": "graph.json", "Schedule.steps": 8}
    page = write_report(ledger, tmp_path).read_text()
    assert page.count("Schedule.steps: 8") == page.count("graph.json") == 1
    assert page.count("noise_seed: 41") == page.count("noise_seed: 42") == 1


def test_of_a_single_job_all_is_its_own(ledger):
    ledger.plan([Planned("id", 1, {"Schedule.steps": 8}, "m", "", "")], "")
    assert ledger.common() == {}


class Page(html.parser.HTMLParser):
    """The texts, pictures and links of a page."""

    def __init__(self, file):
        super().__init__()
        self.texts, self.links, self.pictures = [], [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_data(self, data):
        self.texts.append(data)

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.links.append(dict(attributes)["href"])
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])
        assert tag != "b"


def test_the_report_shows_pictures_and_what_failed_and_why(ended, tmp_path):
    (tmp_path / "pictures" / "000000").mkdir(parents=True)
    Image.new("RGB", (640, 320)).save(tmp_path / "pictures" / "000000" / "1.png")
    page = Page(write_report(ended, tmp_path))
    text = " ".join(page.texts)
    assert "1 of 4 jobs are done, 1 failed, 2 waiting" in text and "Prompt.text: <b>a man</b>" in text
    assert text.count("Set (1): <wrong>") == 2 and "Score: 0.5 & more" in text
    assert page.pictures == ["thumbnails/000000/1.png.jpg"] and "pictures/000000/1.png" in page.links
    with Image.open(tmp_path / page.pictures[0]) as small:
        assert small.size == (192, 96)


def test_a_long_report_has_pages(ledger, tmp_path):
    jobs = (Planned(str(line), line, {}, "m", "", "") for line in range(1, 2 * ON_A_PAGE + 2))
    ledger.plan(jobs, "list")
    write_report(ledger, tmp_path)
    names = ["report.html", "report-2.html", "report-3.html"]
    assert sorted(path.name for path in tmp_path.glob("report*.html")) == sorted(names)
    assert f'id="job-{2 * ON_A_PAGE + 1}"' in (tmp_path / "report-3.html").read_text()
    ledger.plan([Planned("1", 1, {}, "m", "", "")], "list")
    write_report(ledger, tmp_path)
    assert [path.name for path in tmp_path.glob("report*.html")] == ["report.html"]

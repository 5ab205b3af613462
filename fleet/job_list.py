"""The job list: a workflow and a table of what each job sets in it, written by hand or by script.

A column is `node title.input`, as "Prompt.text". `label.NAME` sets nothing and is kept for the table of results;
`workflow` names the job's own graph. Files are relative to the list's folder.

    CSV    a line for each job; the first line names the columns
    JSONL  a line for each job: {"Prompt.text": "a photo of a man img", "Reference person.image": "faces/bob.jpg"}
    YAML   workflow: FILE      the graph, in ComfyUI's API format
           set: {COLUMN: VALUE}                  for every job
           matrix: {COLUMN: [VALUES]}            every combination; {files: "faces/*.jpg"} and {range: [FIRST, LAST]}
                                                 stand for lists
           rows: [{COLUMN: VALUE}]               or one job each; with a matrix, all of it for each row
           table: FILE                           or rows from a CSV or JSONL file
"""

import csv
import glob
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import FleetError

WORKFLOW, LABEL = "workflow", "label."
PLAIN = (str, int, float, bool)
KEYS = {"workflow", "set", "matrix", "rows", "table"}


@dataclass(frozen=True)
class JobList:
    """file: the list's own, to whose folder its paths are relative. common: what every job sets. rows: what each sets.

    rows is read anew, from the file, by each call of `jobs`: a list may be larger than the memory.
    """

    file: Path
    common: dict
    matrix: dict[str, list]
    rows: list[dict] | Path

    def jobs(self) -> Iterator[dict]:
        """What each job sets, {column: value}, in the list's order. Raises FleetError, with the line, for a bad one."""
        rows = _read_table(self.rows) if isinstance(self.rows, Path) else self.rows
        names = list(self.matrix)
        for row in rows:
            _check_values(self.file, {**self.common, **row})
            for values in itertools.product(*self.matrix.values()):
                yield {**self.common, **row, **dict(zip(names, values, strict=True))}


def read_job_list(file: Path, workflow: Path | None = None) -> JobList:
    """Read a list. workflow: the graph of jobs that name none. Raises FleetError for what cannot be read."""
    if not file.is_file():
        raise FleetError(f"{file}: there is no such job list")
    kind = file.suffix.lower()
    common = {} if workflow is None else {WORKFLOW: str(workflow.resolve())}
    if kind in (".csv", ".jsonl"):
        return JobList(file, common, {}, file)
    if kind not in (".yaml", ".yml"):
        raise FleetError(f"{file}: a job list is a .csv, .jsonl or .yaml file")
    return _read_yaml(file, common)


def _read_yaml(file: Path, common: dict) -> JobList:
    try:
        import yaml
    except ImportError:
        raise FleetError(f"{file}: reading YAML needs PyYAML (pip install pyyaml); CSV and JSONL do not") from None
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FleetError(f"{file}: is not YAML: {error}") from error
    if not isinstance(content, dict) or not content.keys() <= KEYS:
        raise FleetError(f"{file}: must hold some of {', '.join(sorted(KEYS))}, and nothing else")
    if {"rows", "table"} <= content.keys():
        raise FleetError(f"{file}: has rows and a table of rows; give one of them")
    common = dict(common, **_mapping(file, content, "set"))
    if "workflow" in content:
        common[WORKFLOW] = content["workflow"]
    for name, values in _mapping(file, content, "matrix").items():
        for value in values if isinstance(values, list) else [] if isinstance(values, dict) else [values]:
            _check_values(file, {name: value})
    matrix = {name: _values(file, name, values) for name, values in _mapping(file, content, "matrix").items()}
    rows = content.get("rows", [{}])
    if "table" in content:
        rows = file.parent / str(content["table"])
    elif not isinstance(rows, list):
        raise FleetError(f"{file}: rows must be a list of mappings, COLUMN: VALUE")
    if isinstance(rows, Path) and rows.suffix.lower() not in (".csv", ".jsonl"):
        raise FleetError(f"{file}: table {rows}: must be a .csv or .jsonl file")
    if isinstance(rows, list) and not all(isinstance(row, dict) for row in rows):
        raise FleetError(f"{file}: each of rows must be a mapping, COLUMN: VALUE")
    return JobList(file, common, matrix, rows)


def _check_values(file: Path, row: dict) -> None:
    """Raise FleetError for a column that is no text, and for a value that no input can have."""
    for column, value in row.items():
        items = value if isinstance(value, list) else [value]
        if not isinstance(column, str) or not all(item is None or isinstance(item, PLAIN) for item in items):
            raise FleetError(f"{file}: column {column!r}: {value!r} cannot stand there; write text, a number or true")


def _mapping(file: Path, content: dict, key: str) -> dict:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise FleetError(f"{file}: {key} must be a mapping, COLUMN: VALUE")
    return found


def _values(file: Path, name: str, values) -> list:
    """A column of the matrix as a list."""
    if isinstance(values, dict) and set(values) == {"files"}:
        found = sorted(map(Path, glob.glob(str(values["files"]), root_dir=file.parent, recursive=True)))
        found = [str(path) for path in found if (file.parent / path).is_file()]
        if not found:
            raise FleetError(f"{file}: matrix, {name}: no file matches {values['files']}")
        return found
    if isinstance(values, dict) and set(values) == {"range"}:
        bounds = values["range"]
        if isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(bound, int) for bound in bounds):
            return list(range(bounds[0], bounds[1] + 1))
    if isinstance(values, dict):
        raise FleetError(f"{file}: matrix, {name}: must be a list, {{files: PATTERN}} or {{range: [FIRST, LAST]}}")
    return values if isinstance(values, list) else [values]


def _read_table(file: Path) -> Iterator[dict]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            yield from _read_csv(file, text) if file.suffix.lower() == ".csv" else _read_lines(file, text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FleetError(f"{file}: cannot be read: {error}") from error


def _read_csv(file: Path, text) -> Iterator[dict]:
    reader = csv.DictReader(text)
    for row in reader:
        if None in row or None in row.values():
            raise FleetError(f"{file}, line {reader.line_num}: has another number of cells than the first line")
        yield {name: value for name, value in row.items() if value != ""}  # an empty cell sets nothing


def _read_lines(file: Path, text) -> Iterator[dict]:
    for number, line in enumerate(text, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise FleetError(f"{file}, line {number}: is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise FleetError(f'{file}, line {number}: must be {{"COLUMN": VALUE, …}}')
            yield row

"""The table of results: a line for each job with all columns of the list, as Parquet, or as CSV without pyarrow."""

import csv
import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

from .ledger import Ledger

KEPT = "number", "id", "line", "state", "reason", "attempts", "host", "seconds"
BATCH = 10_000  # rows in memory at a time


def write_table(ledger: Ledger, folder: Path) -> Path:
    """Write results.parquet, or results.csv, whole or not at all. Returns the file."""
    return (_write_parquet if importlib.util.find_spec("pyarrow") else _write_csv)(ledger, folder)


def _columns(ledger: Ledger) -> dict[str, set[type]]:
    """The list's columns with the types of their values."""
    found: dict[str, set[type]] = {}
    for job in ledger.rows():
        for name, value in job["row"].items():
            found.setdefault(name, set()).add(type(value))
    return found


def _line(job: dict, columns: dict[str, set[type]]) -> dict:
    """A job as a line: files and texts are lists, values of columns with several types are text."""
    line = {name: job[name] for name in KEPT}
    for name, types in columns.items():
        value = job["row"].get(name)
        plain = types <= {int} or types <= {int, float} or types <= {bool} or types <= {str}
        line[name] = value if value is None or plain else value if isinstance(value, str) else json.dumps(value)
    line["files"] = [output.file for output in job["outputs"] if output.file]
    line["texts"] = [f"{output.node}: {output.text}" for output in job["outputs"] if output.text is not None]
    return line


def _write_parquet(ledger: Ledger, folder: Path) -> Path:
    import pyarrow
    import pyarrow.parquet

    columns = _columns(ledger)
    text = pyarrow.string()
    kinds = {"number": pyarrow.int64(), "line": pyarrow.int64(), "attempts": pyarrow.int64()}
    kinds |= {"seconds": pyarrow.float64(), "files": pyarrow.list_(text), "texts": pyarrow.list_(text)}
    for name, types in columns.items():
        kinds[name] = _kind(types)
    names = [*KEPT, *columns, "files", "texts"]
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in names])
    file = folder / "results.parquet"
    draft = file.with_name(file.name + ".part")
    with pyarrow.parquet.ParquetWriter(draft, schema) as writer:
        for lines in _batches(_line(job, columns) for job in ledger.rows()):
            writer.write_table(pyarrow.Table.from_pylist(lines, schema))
    os.replace(draft, file)
    return file


def _kind(types: set[type]):
    import pyarrow

    if types <= {int}:
        return pyarrow.int64()
    if types <= {int, float}:
        return pyarrow.float64()
    return pyarrow.bool_() if types <= {bool} else pyarrow.string()


def _batches(lines: Iterator[dict]) -> Iterator[list[dict]]:
    batch = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_csv(ledger: Ledger, folder: Path) -> Path:
    columns = _columns(ledger)
    file = folder / "results.csv"
    draft = file.with_name(file.name + ".part")
    with open(draft, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*KEPT, *columns, "files", "texts"])
        writer.writeheader()
        for job in ledger.rows():
            line = _line(job, columns)
            writer.writerow(line | {name: "\n".join(line[name]) for name in ("files", "texts")})
    os.replace(draft, file)
    return file

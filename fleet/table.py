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
EXACT = 1 << 53  # a double holds each integer up to this
FITTING = (  # Arrow's types, each with the kinds of values that it holds; ComfyUI's seeds go up to 2**64 - 1
    ("int64", {"large negative", "negative", "small", "large"}),
    ("uint64", {"small", "large", "huge"}),
    ("float64", {"negative", "small", "float"}),
    ("bool_", {"bool"}),
)


def write_table(ledger: Ledger, folder: Path) -> Path:
    """Write results.parquet, or results.csv, whole or not at all. Returns the file."""
    return (_write_parquet if importlib.util.find_spec("pyarrow") else _write_csv)(ledger, folder)


def _columns(ledger: Ledger) -> dict[str, str]:
    """The list's columns with Arrow's types for them: text where values have no other in common."""
    found: dict[str, set[str]] = {}
    for job in ledger.rows():
        for name, value in job["row"].items():
            found.setdefault(name, set()).update([] if value is None else [_type(value)])
    return {name: next((fit for fit, types in FITTING if found[name] <= types), "string") for name in found}


def _type(value) -> str:
    """What has to be told apart for FITTING."""
    if type(value) is not int:
        return {bool: "bool", float: "float"}.get(type(value), "text")
    if value < 0:
        return "negative" if value >= -EXACT else "large negative" if value >= -(1 << 63) else "text"
    return "small" if value <= EXACT else "large" if value < 1 << 63 else "huge" if value < 1 << 64 else "text"


def _line(job: dict, columns: dict[str, str]) -> dict:
    """A job as a line: files and texts are lists."""
    line = {name: job[name] for name in KEPT}
    for name, kind in columns.items():
        value = job["row"].get(name)
        plain = value is None or isinstance(value, str) or kind != "string"
        line[name] = value if plain else json.dumps(value)
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
    kinds |= {name: getattr(pyarrow, kind)() for name, kind in columns.items()}
    names = [*KEPT, *columns, "files", "texts"]
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in names])
    file = folder / "results.parquet"
    draft = file.with_name(file.name + ".part")
    with pyarrow.parquet.ParquetWriter(draft, schema) as writer:
        for lines in _batches(_line(job, columns) for job in ledger.rows()):
            writer.write_table(pyarrow.Table.from_pylist(lines, schema))
    os.replace(draft, file)
    return file


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

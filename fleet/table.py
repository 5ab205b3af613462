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
FITTING = (  # Arrow's types, each with the kinds of values that it holds; ComfyUI's seeds go up to 2**64 - 1
    ("int64", {"negative", "int64"}),
    ("uint64", {"int64", "uint64"}),
    ("float64", {"negative", "int64", "float64"}),
    ("bool_", {"bool_"}),
)


def write_table(ledger: Ledger, folder: Path) -> Path:
    """Write results.parquet, or results.csv, whole or not at all. Returns the file."""
    return (_write_parquet if importlib.util.find_spec("pyarrow") else _write_csv)(ledger, folder)


def _columns(ledger: Ledger) -> dict[str, str]:
    """The list's columns with Arrow's types for them: text where values have no other in common."""
    found: dict[str, set[str]] = {}
    for job in ledger.rows():
        for name, value in job["row"].items():
            found.setdefault(name, set()).add(_type(value))
    return {name: next((fit for fit, types in FITTING if found[name] <= types), "string") for name in found}


def _type(value) -> str:
    if type(value) is int:
        fitting = "negative" if value < 0 else "int64" if value < 1 << 63 else "uint64"
        return fitting if -(1 << 63) <= value < 1 << 64 else "string"
    return {bool: "bool_", float: "float64"}.get(type(value), "string")


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

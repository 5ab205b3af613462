"""The paper's own numbers, from paper_numbers.json, each with the place where it stands."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("paper_numbers.json")


@dataclass(frozen=True)
class Printed:
    """A table of the paper. columns: metrics, by name. rows: their numbers, by method and metric."""

    name: str
    place: str
    about: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, float]]


def printed_tables() -> dict[str, Printed]:
    """The paper's tables that tell of pictures, by their Roman numbers."""
    tables = {}
    for name, said in json.loads(FILE.read_text(encoding="utf-8")).items():
        columns = tuple(said["columns"])
        rows = {method: dict(zip(columns, numbers, strict=True)) for method, numbers in said["rows"].items()}
        tables[name] = Printed(name, said["place"], said["about"], columns, rows)
    return tables

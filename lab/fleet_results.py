"""Where the measurements of the fleet are written: a JSON file each, with what a reader has to know of the run."""

import datetime
import json
import os
import sys
from pathlib import Path

from benchmarks.machine import commit, processor

RESULTS = Path(__file__).resolve().parent / "benchmarks" / "results"


def write_results(found: dict, name: str, folder: Path = RESULTS) -> Path:
    """Write <name>.json: what was found, and in `about` the command, date, machine and commit. Returns the file."""
    about = {
        "command": " ".join(["python lab", Path(sys.argv[0]).stem, *map(_impersonal, sys.argv[1:])]),
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "CustomEnhancer": commit(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"about": about, **found}, indent=1) + "\n", encoding="utf-8")
    return file


def _impersonal(word: str) -> str:
    """A word of the command line, without where this machine has its files."""
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}DIR" if Path(value).is_absolute() else word

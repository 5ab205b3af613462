"""Measure pictures as the paper does, and write its tables.

python lab paper RECORDS.jsonl --weights DIR [--human-art DIR] [--second RECORDS.jsonl] [--results DIR] [--name NAME]

RECORDS holds a JSON line for each picture (paper/records.py). What was measured is kept in RESULTS/measured.sqlite, so
that a run which ended early goes on where it was. A metric whose weights are not there is left out, and the page says
why. PROTOCOL.md says what is measured how, and lists the weights.
"""

from benchmarks import loading  # isort: skip  first: it loads host and pack

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paper.measuring import add_options, open_cache, paper_measures, write_tables
from paper.records import read_records


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python lab paper", description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, help="JSON lines, one for each picture")
    parser.add_argument("--second", type=Path, metavar="RECORDS", help="another dataset's, for table II")
    add_options(parser, loading.RESULTS)
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError) as error:
        sys.exit(f"paper: {error}")


def _run(options: argparse.Namespace) -> None:
    given = [read_records(file) for file in (options.records, options.second) if file]
    cache, options.name = open_cache(options.results), options.name or "paper"
    for path in write_tables(options, given, *paper_measures(options, cache), cache, options.results):
        print(path)


if __name__ == "__main__":
    main()

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

import torch

from benchmarks.provenance import provenance
from paper.cache import Cache
from paper.measure import BATCH, measure, write_rows
from paper.metrics import TITLES, paper_metrics
from paper.pictures import picture_files
from paper.protocol import SEED
from paper.records import read_records
from paper.results import results_of, write
from paper.weights import Weights


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python lab paper", description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, help="JSON lines, one for each picture")
    parser.add_argument("--second", type=Path, metavar="RECORDS", help="another dataset's, for table II")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="the metrics' weights; then the user's own caches")
    parser.add_argument("--download", action="store_true", help="fetch absent weights into --weights")
    parser.add_argument("--human-art", type=Path, metavar="DIR", help="FID's reference pictures")
    parser.add_argument("--metrics", nargs="+", choices=TITLES, default=tuple(TITLES), help="all, if not said")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=BATCH, help="pictures measured at a time")
    parser.add_argument("--seed", type=int, default=SEED, help="of the intervals")
    parser.add_argument("--results", type=Path, default=loading.RESULTS)
    parser.add_argument("--name", default="paper", help="of the files")
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError) as error:
        sys.exit(f"paper: {error}")


def _run(options: argparse.Namespace) -> None:
    given = [read_records(file) for file in (options.records, options.second) if file]
    cache = Cache(options.results / "measured.sqlite")
    photographs = picture_files(options.human_art, "**/*") if options.human_art else []
    weights = Weights(options.weights, options.download)
    metrics, absent = paper_metrics(weights, photographs, cache, options.device, options.metrics)
    for reason in absent.values():
        print(reason, file=sys.stderr)
    rows = [measure(records, metrics, cache, options.batch) for records in given]
    about = {**provenance(), "device": options.device, "reference pictures of FID": len(photographs)}
    results = results_of(rows[0], absent, about, *rows[1:], seed=options.seed)
    for file, measured in zip((options.name, f"{options.name}-second"), rows, strict=False):
        write_rows(measured, options.results / f"{file}-rows.jsonl")
    for path in write(results, options.results, options.name):
        print(path)


if __name__ == "__main__":
    main()

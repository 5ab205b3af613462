"""From lists of records to tables, plots and rows on disk, and the options of a command line that say how."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.provenance import provenance
from paper.cache import Cache
from paper.measure import BATCH, measure, write_rows
from paper.metric import Metric
from paper.metrics import TITLES, paper_metrics
from paper.pictures import picture_files
from paper.protocol import SEED
from paper.records import Record
from paper.results import results_of, write
from paper.weights import Weights


def add_options(parser: argparse.ArgumentParser, results: Path) -> None:
    """The options of `paper_measures` and `write_tables`. results: the folder, if not said."""
    parser.add_argument("--weights", type=Path, metavar="DIR", help="the metrics' weights; then the user's own caches")
    parser.add_argument("--download", action="store_true", help="fetch absent weights into --weights")
    parser.add_argument("--human-art", type=Path, metavar="DIR", help="FID's reference pictures")
    parser.add_argument("--metrics", nargs="+", choices=TITLES, default=tuple(TITLES), help="all, if not said")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="of the metrics")
    parser.add_argument("--batch", type=int, default=BATCH, help="pictures measured at a time")
    parser.add_argument("--seed", type=int, default=SEED, help="of the intervals")
    parser.add_argument("--results", type=Path, default=results, metavar="DIR", help="for page, numbers and plots")
    parser.add_argument("--name", help="of the files")


def open_cache(folder: Path) -> Cache:
    """The values that were measured before, kept in a folder."""
    return Cache(folder / "measured.sqlite")


def paper_measures(options: argparse.Namespace, cache: Cache) -> tuple[list[Metric], dict[str, str], dict[str, object]]:
    """The paper's metrics, why others are absent (said on the console too), and what a reader has to know of them."""
    photographs = picture_files(options.human_art, "**/*") if options.human_art else []
    weights = Weights(options.weights, options.download)
    metrics, absent = paper_metrics(weights, photographs, cache, options.device, options.metrics)
    for reason in absent.values():
        print(reason, file=sys.stderr)
    return metrics, absent, {"reference pictures of FID": len(photographs)}


def write_tables(
    options: argparse.Namespace,
    given: Sequence[Sequence[Record]],
    metrics: Sequence[Metric],
    absent: dict[str, str],
    about: dict[str, object],
    cache: Cache,
    folder: Path,
    **more,
) -> list[Path]:
    """Measure the records of one dataset, or of two, and write everything. Returns page, numbers and plots.

    folder: for the rows. more: claims, protocol and guider calls, as paper.results takes them.
    """
    rows = [measure(records, metrics, cache, options.batch) for records in given]
    about = {**provenance(), "device of the metrics": options.device, **about}
    results = results_of(rows[0], absent, about, *rows[1:], seed=options.seed, **more)
    for dataset, measured in zip(("", "second-"), rows, strict=False):
        write_rows(measured, folder / f"{options.name}-{dataset}rows.jsonl")
    return write(results, options.results, options.name)

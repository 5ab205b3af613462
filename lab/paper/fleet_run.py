"""The bench's jobs through the fleet: run by its command line, read back from its ledger."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from fleet.errors import FleetError
from fleet.ledger import IN_FLIGHT, WAITING, Ledger
from host_server import CHECKOUT, PACKS, load_devtools
from paper.jobs import records_of
from paper.methods import INPUT
from paper.planning import FIRST, SECOND, Planned, methods_of
from paper.records import Record


def draw(options: argparse.Namespace, jobs: Path, folder: Path) -> int:
    """Run the fleet on the jobs, its results into `folder`; returns its exit status. Raises devtools' SetupError."""
    load_devtools()
    from devtools.own_hosts import own_hosts
    from devtools.processes import run

    command = [sys.executable, CHECKOUT / "fleet", "run", jobs, "--output", folder]
    command += ["--models", options.models] if options.models else []
    command += ["--retry-failed"] if options.retry_failed else []
    if options.dry_run:
        return run(*command, "--dry-run", folder=Path.cwd())
    command += ["--hosts", options.hosts] if options.hosts else ["--ray", options.ray] if options.ray else []
    named = contextlib.nullcontext([])
    if not options.hosts:
        parts = {"comfyui": Path(os.environ["COMFYUI_PATH"]), "models": options.models, "packs": PACKS}
        named = own_hosts(bool(options.ray), cpu=options.cpu, **parts)
    with named as more:
        return run(*command, *more, folder=Path.cwd())


def collect(options: argparse.Namespace, planned: Planned, folder: Path) -> tuple[dict[str, list[Record]], int]:
    """The records of each dataset that there is one of, and how many pictures of each method are left out.

    That is where a job has failed. folder: of the fleet. Raises ValueError where jobs wait still, where all have
    failed, and for a ledger that cannot be read.
    """
    inputs = planned.inputs if INPUT in options.methods else []
    if not planned.draws:
        return {FIRST: inputs}, 0
    methods = {dataset: methods_of(options.methods, dataset) for dataset in (FIRST, SECOND)}
    try:
        ledger = Ledger(folder)
    except FleetError as error:
        raise ValueError(str(error)) from error
    try:
        counts = ledger.counts()
        if left := counts[WAITING] + counts[IN_FLIGHT]:
            raise ValueError(f"{left} pictures are not drawn yet; the same command goes on with them.")
        found = records_of(ledger.rows(), folder, planned.work, methods)
    finally:
        ledger.close()
    if FIRST not in found.records:
        raise ValueError(f"there is no prompt of which all methods have a picture; {folder / 'report.html'} says why.")
    given = found.records | {FIRST: found.records[FIRST] + inputs}
    return {dataset: given[dataset] for dataset in (FIRST, SECOND) if given.get(dataset)}, len(found.left_out)

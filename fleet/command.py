"""The command line of the fleet."""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from . import hosts
from .errors import FleetError
from .fleet import Fleet
from .job_list import __doc__ as JOB_LISTS
from .job_list import read_job_list
from .ledger import FAILED, WAITING, Ledger
from .plan import Plan, describe
from .report import write_report
from .table import write_table


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit status.

    0: every job is done, but for those beyond a --limit; 1: some have failed, or report or table could not be written;
    2: an error.
    """
    options = _parser().parse_args(arguments)
    for name in {"SIGTERM", "SIGHUP"} & vars(signal).keys():
        signal.signal(getattr(signal, name), _interrupt)
    try:
        return _run(options) if options.command == "run" else _report(options)
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 2


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet", description="Many jobs on many ComfyUIs, each made once.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="make what a job list asks for, or go on with it",
        epilog=JOB_LISTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument("jobs", type=Path, help="a job list: .yaml, .csv or .jsonl")
    run.add_argument("--output", type=Path, required=True, metavar="DIR", help="for ledger, pictures and report")
    run.add_argument("--workflow", type=Path, metavar="FILE", help="the graph of jobs that name none")
    run.add_argument("--hosts", default=hosts.DEFAULT, metavar="URLS", help="addresses, or a file of them; %(default)s")
    run.add_argument("--ray", metavar="ADDRESS", help="start hosts on a Ray cluster; auto: the one at hand, or here")
    run.add_argument("--cpu-hosts", type=int, default=2, metavar="N", help="on a cluster without GPUs; %(default)s")
    run.add_argument("--comfyui", type=Path, metavar="DIR", help="with --ray: ComfyUI's folder on every machine")
    run.add_argument(
        "--comfyui-arguments", default="", metavar="TEXT", help="with --ray, as --comfyui-arguments='--lowvram'"
    )
    run.add_argument("--models", type=Path, metavar="DIR", help="the hosts' models folder: contents count, not names")
    run.add_argument("--attempts", type=int, default=3, metavar="N", help="of a job; %(default)s")
    run.add_argument(
        "--silence",
        type=float,
        default=1800,
        metavar="S",
        help="seconds a job may be still, with Ray from its start; %(default)s",
    )
    run.add_argument("--patience", type=float, default=30, metavar="S", help="seconds a host may be away; %(default)s")
    run.add_argument("--limit", type=int, metavar="N", help="stop after so many jobs")
    run.add_argument("--retry-failed", action="store_true", help="try again what has failed")
    run.add_argument("--dry-run", action="store_true", help="tell what it comes to, and run nothing")
    report = commands.add_parser("report", help="write table and report of a folder anew")
    report.add_argument("output", type=Path, metavar="DIR")
    return parser


def _run(options: argparse.Namespace) -> int:
    ledger = Ledger(options.output)
    try:
        jobs = read_job_list(options.jobs, options.workflow)
        plan = Plan(jobs, options.models)
        lines = ledger.plan(plan.jobs(), str(options.jobs.resolve()))
        if not lines:
            raise FleetError(f"{options.jobs}: has no jobs")
        if options.retry_failed and not options.dry_run:
            ledger.retry_failed()
        print(describe(ledger, lines, options.retry_failed), flush=True)
        if options.dry_run:
            return 0
        settings = {name: getattr(options, name) for name in ("attempts", "silence", "patience", "limit")}
        try:
            Fleet(ledger, plan, options.output, _source(options), **settings).run()
        finally:
            written = _write(ledger, options.output)
        return 0 if written and not ledger.counts()[FAILED] else 1
    finally:
        ledger.close()


def _source(options: argparse.Namespace) -> hosts.HostSource:
    if not options.ray:
        return hosts.Addresses(options.hosts)
    from .ray_hosts import RayHosts

    return RayHosts(options.ray, options.comfyui, shlex.split(options.comfyui_arguments), options.cpu_hosts)


def _report(options: argparse.Namespace) -> int:
    if not (options.output / "ledger.sqlite").exists():
        raise FleetError(f"{options.output}: holds no ledger of a run")
    ledger = Ledger(options.output)
    try:
        return 0 if _write(ledger, options.output) else 1
    finally:
        ledger.close()


def _write(ledger: Ledger, folder: Path) -> bool:
    """Write report and table, neither for want of the other. Whether both could be."""
    names = []
    for write in (write_report, write_table):
        try:
            names.append(write(ledger, folder).name)
        except (OSError, ValueError) as error:
            kind = write.__name__.removeprefix("write_")
            print(f"fleet: the {kind} cannot be written: {error}. Try again: fleet report {folder}", file=sys.stderr)
    counts = ledger.counts()
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    print(f"{told}. In {folder}: {', '.join([*names, 'ledger.sqlite'])}", flush=True)
    if counts[WAITING]:
        print("The same command goes on with what waits.", flush=True)
    return len(names) == 2

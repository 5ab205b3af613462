"""The paper's tables I, II and IV and its figure 10, from people's photographs to the page: plan, draw, measure, write.

python3 dev.py bench paper --models DIR --faces DIR --weights DIR [--second-faces DIR] [--human-art DIR]
    DIR: a models folder, a folder with a folder of photographs for each person, and the metrics' weights
python3 dev.py bench paper
    the same on the pocket world: its models, people, prompts and judges
    --sample 2x8             so many people and prompts
    --methods NAME ...       all that need no graph of your own, if not said; --starts: MSS of figure 10, none for none
    --graph METHOD=FILE      draw a method by an API graph of your own, with titles as in docs/api.md. In its texts
                             {identity} stands for the person's folder's name, {prompt} for the prompt
    --hosts URLS, --ray ADDRESS   draw there, as `dev.py fleet` does; else on a ComfyUI of its own
    --dry-run                tell jobs and guider calls, and draw nothing

The same command goes on where it ended. PROTOCOL.md says what is drawn and measured how.
"""

import benchmarks.loading  # noqa: F401  isort: skip  first: it loads host and pack

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pocket_flows import SIZE as POCKET_SIDE
from host_server import CHECKOUT, PACKS, end_well, load_devtools, load_package
from paper.graphs import Drawing, drawings
from paper.jobs import Place, records_of, write_jobs
from paper.measuring import add_options, open_cache, paper_measures, write_tables
from paper.methods import DREAMBOOTH, INPUT, IP_ADAPTER, TITLES
from paper.mtcnn import Detector
from paper.numbers import printed_tables
from paper.places import Sample, places_of, read_sample
from paper.pocket_people import COLUMNS, PROTOCOL, STEPS, judges_as_metrics, pocket_claims, pocket_places
from paper.protocol import SIZE, figure_starts
from paper.protocol import STEPS as PAPER_STEPS
from paper.records import Record, write_records
from paper.weights import MissingError

OUTPUT = CHECKOUT / "output" / "paper"
SHIPPED = tuple(method for method in TITLES if method not in (DREAMBOOTH, IP_ADAPTER))
DATASETS = ("", "second")
# What the shipped workflows have otherwise; PROTOCOL.md says why.
SETTINGS = {
    "Negative prompt.text": "",
    "Swap the face in.no_face": "pass_through",
    "Swap the face in.target_order": "large-small",
    "Swap the face in.reference_order": "large-small",
}


@dataclass(frozen=True)
class Planned:
    """work: what is drawn at each place. inputs: the photographs as records of "Input image", by dataset."""

    work: list[tuple[Place, list[Drawing]]]
    inputs: dict[str, list[Record]]

    @property
    def datasets(self) -> list[str]:
        """Those that there is anything of."""
        return [name for name in DATASETS if name in self.inputs]


def plan(options: argparse.Namespace, folder: Path) -> Planned:
    """What the command line asks for. folder: for the pocket world's pictures."""
    side, steps = options.size, options.steps
    columns = {"Picture size.width": side, "Picture size.height": side, "Schedule.steps": steps, **SETTINGS}
    columns |= COLUMNS if options.pocket else {}
    starts = figure_starts(steps) if options.starts is None else options.starts
    if outside := [start for start in starts if not 0 <= start <= steps]:
        raise ValueError(f"--starts {outside[0]}: is not within 0 and the {steps} steps.")
    methods = [method for method in options.methods if method != INPUT]
    of_first = drawings(methods, starts, columns, options.graph, batches=options.pocket)
    if options.pocket:
        places, inputs = pocket_places(folder / "people", options.sample)
        return Planned([(place, of_first) for place in places], {"": inputs})
    detector = Detector(options.device, metric="the choice of the reference")
    places, inputs = places_of(options.faces, options.sample, detector)
    work, all_inputs = [(place, of_first) for place in places], {"": inputs}
    if options.second_faces:
        of_table = [method for method in methods if method in printed_tables()["II"].rows]
        of_second = drawings(of_table, (), columns, options.graph)
        places, all_inputs["second"] = places_of(options.second_faces, options.sample, detector, "second")
        work += [(place, of_second) for place in places]
    return Planned(work, all_inputs)


def draw(options: argparse.Namespace, jobs: Path, folder: Path) -> int:
    """Run the fleet on the jobs, its results into `folder`; returns its exit status."""
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


def collect(options: argparse.Namespace, planned: Planned, folder: Path) -> tuple[list[list[Record]], int]:
    """The records of each dataset, and how many prompts of people are left out since a job of theirs has failed."""
    load_package("fleet")
    from fleet.ledger import Ledger

    given, left_out = [], 0
    ledger = Ledger(folder)
    try:
        for name in planned.datasets:
            work = [one for one in planned.work if one[0].dataset == name]
            found = records_of(ledger.rows(), folder, work, options.methods)
            left_out += len(found.left_out)
            inputs = planned.inputs[name] if INPUT in options.methods and not name else []
            given.append(found.records + inputs)
    finally:
        ledger.close()
    return given, left_out


def _run(options: argparse.Namespace) -> int:
    work, fleet = options.results / options.name, options.results / options.name / "fleet"
    planned = plan(options, work)
    jobs = write_jobs(planned.work, work)
    if (status := draw(options, jobs, fleet)) > 1 or options.dry_run:
        return status
    given, left_out = collect(options, planned, fleet)
    if not given[0]:
        raise ValueError(f"no picture was drawn; {fleet / 'report.html'} says why.")
    for name, records in zip(planned.datasets, given, strict=True):
        write_records(records, work / f"records{name and '-'}{name}.jsonl")
    cache = open_cache(options)
    metrics, absent, about = (
        (judges_as_metrics(options.models), {}, {}) if options.pocket else paper_measures(options, cache)
    )
    about = {"size": options.size, "steps": options.steps, **about}
    if left_out:
        told = f"{left_out} of {len(planned.work)}, a job of which has failed: {fleet / 'report.html'}"
        about |= {"prompts of people left out": told}
        print(f"Left out: {told}", file=sys.stderr)
    more = {"claims": pocket_claims(), "protocol": PROTOCOL} if options.pocket else {}
    for path in write_tables(options, [one for one in given if one], metrics, absent, about, cache, **more):
        print(path)
    return status


def named_graph(text: str) -> tuple[str, Path]:
    """Read a command line argument METHOD=FILE."""
    method, separator, file = text.partition("=")
    if not (method and separator and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"{text} is not METHOD=FILE of a file that is there")
    return method, Path(file)


def sample(text: str) -> Sample:
    """Read a command line argument PxQ."""
    try:
        return read_sample(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="the hosts' models folder")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="a folder of photographs for each person")
    parser.add_argument("--second-faces", type=Path, metavar="DIR", help="of another dataset, for table II")
    parser.add_argument("--pocket", action="store_true", help="the pocket world in the place of all that")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"of {', '.join(TITLES)}, or your own")
    parser.add_argument("--graph", type=named_graph, action="append", default=[], metavar="METHOD=FILE")
    parser.add_argument("--starts", type=int, nargs="*", metavar="N", help="MSS of figure 10; PROTOCOL.md's, scaled")
    parser.add_argument("--sample", type=sample, default=Sample(), metavar="PxQ", help="people and prompts; all")
    parser.add_argument("--steps", type=int, metavar="N", help=f"{PAPER_STEPS}; on the pocket world {STEPS}")
    parser.add_argument("--size", type=int, metavar="N", help=f"{SIZE}; on the pocket world {POCKET_SIDE}")
    parser.add_argument("--hosts", metavar="URLS", help="addresses of hosts that run, or a file of them")
    parser.add_argument("--ray", metavar="ADDRESS", help="start hosts on a Ray cluster; auto: the one at hand, or here")
    parser.add_argument("--cpu", action="store_true", help="keep a ComfyUI of its own on the CPU")
    parser.add_argument("--retry-failed", action="store_true", help="try again what has failed")
    parser.add_argument("--dry-run", action="store_true", help="tell jobs and guider calls, and draw nothing")
    add_options(parser, OUTPUT)
    options = parser.parse_args(arguments)
    usual = (POCKET_SIDE, STEPS) if options.pocket else (SIZE, PAPER_STEPS)
    options.size, options.steps = options.size or usual[0], options.steps or usual[1]
    options.graph = dict(options.graph)
    options.results = options.results.resolve()
    options.methods = list(dict.fromkeys([*(options.methods or SHIPPED), *options.graph]))
    if options.pocket == bool(options.faces):
        parser.error("takes --faces DIR, or --pocket")
    if not options.models and (options.pocket or not (options.hosts or options.dry_run)):
        parser.error("needs --models DIR")
    load_devtools()
    from devtools.processes import SetupError

    try:
        return _run(options)
    except (ValueError, OSError, MissingError, SetupError) as error:
        sys.exit(f"paper.bench: {error}")


if __name__ == "__main__":
    end_well()
    sys.exit(main())

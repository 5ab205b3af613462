"""The paper's tables and its figures 10 and 11 a, from people's photographs to the page: plan, draw, measure, write.

python3 dev.py bench paper --models DIR --faces DIR --weights DIR [--second-faces DIR] [--human-art DIR]
    DIR: a models folder, a folder with a folder of photographs for each person, and the metrics' weights
python3 dev.py bench paper
    the same on the pocket world: its models, people, prompts and judges
    --sample 2x8             so many people and prompts; 2x8x3: three pictures of each
    --methods NAME ...       default: all of the tables' that need no graph of your own
    --starts, --scales       MSS and forward scales of figures 10 and 11 a, none for no figure; --curve-sample: of whom
    --graph METHOD=FILE      draw a method by an API graph of your own, with titles as in docs/api.md. In its texts
                             {identity} stands for the person's folder's name, {prompt} for the prompt
    --set "Pivot and forward flow.start_step=20"   in all graphs that have the input
    --hosts URLS, --ray ADDRESS   draw there, as `dev.py fleet` does; else on a ComfyUI of its own
    --dry-run                tell jobs and guider calls, and draw nothing

The same command goes on where it ended. PROTOCOL.md says what is drawn and measured how.
"""

import benchmarks.loading  # noqa: F401  isort: skip  first: it loads host and pack

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from host_server import end_well, load_devtools
from paper.examples import write_examples
from paper.fleet_run import collect, draw
from paper.jobs import calls_of, write_jobs
from paper.measuring import add_options, open_cache, paper_measures, write_tables
from paper.methods import TITLES
from paper.places import Sample, read_sample
from paper.planning import FIRST, plan
from paper.pocket_claims import pocket_claims
from paper.pocket_models import missing
from paper.pocket_people import PROTOCOL, pocket_measures
from paper.records import write_records
from paper.usual import PAPER, POCKET, settle
from paper.weights import MissingError

NOT_POCKET = "second_faces", "human_art", "weights", "download"


def _run(options: argparse.Namespace) -> int:
    work, fleet = options.work, options.work / "fleet"
    planned = plan(options, work)
    jobs = write_jobs(planned.work, work)
    status = draw(options, jobs, fleet) if planned.draws else 0
    if status not in (0, 1) or options.dry_run:  # 1: some jobs have failed
        return status
    given, left_out = collect(options, planned, fleet)
    for dataset, records in given.items():
        write_records(records, work / f"records{dataset and '-'}{dataset}.jsonl")
    cache = open_cache(work)
    measures = pocket_measures(options.models) if options.pocket else paper_measures(options, cache)
    metrics, absent, about = measures
    said = {"size": options.size, "steps": options.steps, **options.set}
    if options.starts:
        said["of which figures 10 and 11 a"] = str(options.curve_sample)
    about = said | about
    if left_out:
        about["pictures of each method left out"] = f"{left_out} of {len(planned.work)}, where a job has failed"
        print(f"{left_out} of {len(planned.work)} are left out, where a job has failed: {fleet / 'report.html'}")
    more = {"claims": pocket_claims(), "protocol": PROTOCOL} if options.pocket else {}
    more["guider_calls"] = calls_of(planned.work[0][1])
    written = write_tables(options, list(given.values()), metrics, absent, about, cache, work, **more)
    for path in [*written, *write_examples(given[FIRST], options.results, options.name)]:
        print(path)
    return status


def named_graph(text: str) -> tuple[str, Path]:
    """Read a command line argument METHOD=FILE."""
    method, separator, file = text.partition("=")
    if not (method and separator and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"{text} is not METHOD=FILE of a file that is there")
    return method, Path(file)


def column(text: str) -> tuple[str, object]:
    """Read a command line argument TITLE.INPUT=VALUE; a value that is no JSON is text."""
    name, separator, value = text.partition("=")
    if not (separator and "." in name):
        raise argparse.ArgumentTypeError(f"{text} is not TITLE.INPUT=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def sample(text: str) -> Sample:
    """Read a command line argument PxQ or PxQxR."""
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
    parser.add_argument("--scales", type=float, nargs="+", metavar="F", help="and forward scales; PROTOCOL.md's")
    parser.add_argument(
        "--sample", type=sample, default=Sample(), metavar="PxQxR", help="people, prompts, pictures; all"
    )
    parser.add_argument("--curve-sample", type=sample, metavar="PxQxR", help="of which figure 10 is drawn; all of them")
    parser.add_argument("--steps", type=int, metavar="N", help=f"{PAPER.steps}; on the pocket world {POCKET.steps}")
    parser.add_argument("--size", type=int, metavar="N", help=f"{PAPER.size}; on the pocket world {POCKET.size}")
    parser.add_argument(
        "--set", type=column, action="append", default=[], metavar="TITLE.INPUT=VALUE", help="in all graphs"
    )
    parser.add_argument("--hosts", metavar="URLS", help="addresses of hosts that run, or a file of them")
    parser.add_argument("--ray", metavar="ADDRESS", help="start hosts on a Ray cluster; auto: the one at hand, or here")
    parser.add_argument("--cpu", action="store_true", help="keep a ComfyUI of its own on the CPU")
    parser.add_argument("--retry-failed", action="store_true", help="try again what has failed")
    parser.add_argument("--dry-run", action="store_true", help="tell jobs and guider calls, and draw nothing")
    parser.add_argument("--work", type=Path, metavar="DIR", help="for jobs, pictures and measured values")
    add_options(parser, None)
    options = parser.parse_args(arguments)
    settle(options)
    if options.pocket == bool(options.faces):
        parser.error("takes --faces DIR, or --pocket")
    if options.pocket and (refused := [name for name in NOT_POCKET if getattr(options, name)]):
        parser.error(f"--{refused[0].replace('_', '-')}: is not for the pocket world")
    if not options.models and (options.pocket or not (options.hosts or options.dry_run)):
        parser.error("needs --models DIR")
    if options.pocket and (lacking := missing(options.models)):
        parser.error(f"{options.models} lacks {', '.join(lacking)}: lab/pocket/README.md says how to train them")
    load_devtools()
    from devtools.processes import SetupError

    try:
        return _run(options)
    except (ValueError, OSError, MissingError, SetupError) as error:
        sys.exit(f"paper.bench: {error}")


if __name__ == "__main__":
    end_well()
    sys.exit(main())

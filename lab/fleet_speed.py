"""How fast the fleet is: what it adds to a host driven directly, and what a second host brings, in pairs of runs.

python lab fleet_speed --models DIR [--rounds 5 --steps 20]

Each run makes the same jobs with a seed of its own on hosts that have just made some, so nothing comes from a cache
but what the jobs share. Directly means: all jobs are queued at once by HTTP, and the time runs until the last has ended
and its picture is fetched; with two hosts, half of the scenes on each, which is the most that a second host can bring
on this machine. Each host has a core of its own, by `taskset`: PyTorch and ONNX Runtime would each take all.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from fleet_results import RESULTS, write_results

from host_server import end_well, load_package, server

load_package("fleet")

from helpers.fleet_jobs import write_job_list  # noqa: E402

from fleet.fleet import Fleet  # noqa: E402
from fleet.host_api import COMPLETED, HttpHost  # noqa: E402
from fleet.hosts import Addresses  # noqa: E402
from fleet.job_list import JobList, read_job_list  # noqa: E402
from fleet.ledger import DONE, Ledger  # noqa: E402
from fleet.plan import Plan  # noqa: E402
from fleet.results import fetch_outputs  # noqa: E402
from intervals import interval  # noqa: E402

SCENES, PEOPLE = 4, 6
ASKS = 0.25  # seconds between questions about a job
SEED = "Seed of the scene.noise_seed"


class Round:
    """The jobs of one run, in a folder of their own. seed: of their scenes, and of no other run's."""

    def __init__(self, folder: Path, steps: int, seed: int):
        self._folder = folder
        rows = [{**row, SEED: seed} for row in read_job_list(write_job_list(folder, SCENES, PEOPLE, steps)).jobs()]
        self._plan = Plan(JobList(folder / "jobs.jsonl", {}, {}, rows))
        self._ledger = Ledger(folder / "results")
        self._ledger.plan(self._plan.jobs(), "measured")

    def by_fleet(self, urls: list[str]) -> float:
        """Seconds that the fleet takes."""
        started = time.perf_counter()
        Fleet(self._ledger, self._plan, self._folder / "results", Addresses(",".join(urls))).run()
        seconds = time.perf_counter() - started
        assert self._ledger.counts()[DONE] == SCENES * PEOPLE
        self._ledger.close()
        return seconds

    def directly(self, urls: list[str]) -> float:
        """Seconds from the first job's queueing to the last picture: the scenes dealt out, in the fleet's own order."""
        jobs = [self._ledger.job(number) for number, *_ in self._ledger.in_order("waiting")]
        prepared = [(job["id"], *self._plan.prepare(job["id"], job["row"])) for job in jobs]
        self._ledger.close()
        share = len(prepared) // len(urls)
        started = time.perf_counter()
        with ThreadPoolExecutor(len(urls)) as pool:
            shares = [prepared[first : first + share] for first in range(0, len(prepared), share)]
            list(pool.map(self._drive, urls, shares))
        return time.perf_counter() - started

    def _drive(self, url: str, prepared: list[tuple]) -> None:
        host = HttpHost(url)
        for _, _, pictures in prepared:
            for name, content in pictures:
                if not host.has_input(name, len(content)):
                    host.upload(name, content)
        for job_id, graph, _ in prepared:
            host.submit(job_id, graph)
        for number, (job_id, graph, _) in enumerate(prepared):
            while (state := host.state(job_id)).status != COMPLETED:
                time.sleep(ASKS)
            fetch_outputs(host, state, graph, number, self._folder / "results" / host.name.rpartition(":")[2])


def measure(urls: list[str], rounds: int, steps: int, folder: Path) -> dict[str, list[float]]:
    """Seconds of each way, round by round, the ways in turns."""
    ways = {
        "one host, directly": lambda one: one.directly(urls[:1]),
        "one host": lambda one: one.by_fleet(urls[:1]),
        "two hosts, directly": lambda one: one.directly(urls),
        "two hosts": lambda one: one.by_fleet(urls),
    }
    found = {way: [] for way in ways}
    seed = 0
    for turn in range(rounds + 1):  # the first warms the hosts up
        names = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
        for way in names:
            seed += 1
            place = folder / str(seed)
            place.mkdir()
            seconds = ways[way](Round(place, steps, seed))
            if turn:
                found[way].append(seconds)
        if turn:
            told = ", ".join(f"{way} {values[-1]:.1f} s" for way, values in found.items())
            print(f"round {turn}: {told}", flush=True)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the pocket world's models folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="for fleet-speed.json")
    options = parser.parse_args(arguments)
    end_well()
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as place:
        folder = Path(place)
        with contextlib.ExitStack() as stack:
            urls = []
            for core in range(2):
                host = server(folder / f"host {core}", options.models, folder / f"{core}.log")
                host.command = ["taskset", "--cpu-list", str(core), *host.command]
                urls.append(stack.enter_context(host).url)
            found = measure(urls, options.rounds, options.steps, folder)
    ratios = {  # of seconds
        "one host, by the fleet / directly": ("one host", "one host, directly"),
        "two hosts, by the fleet / directly": ("two hosts", "two hosts, directly"),
        "by the fleet, one host / two": ("one host", "two hosts"),
        "directly, one host / two": ("one host, directly", "two hosts, directly"),
    }
    results = {
        what: interval([slow / fast for slow, fast in zip(found[above], found[below], strict=True)])
        for what, (above, below) in ratios.items()
    }
    for what, values in results.items():
        print(f"{what}: {json.dumps(values)}")
    settings = {"rounds": options.rounds, "steps": options.steps, "jobs": SCENES * PEOPLE}
    print(write_results({**results, **settings, "seconds": found}, "fleet-speed", options.results))


if __name__ == "__main__":
    main()

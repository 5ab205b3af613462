"""A thousand hosts and a million jobs that are not there, run by the fleet's own plan, ledger and queue.

python lab fleet_simulation [--hosts 1000 --jobs 1000000]

Hosts differ in speed, fail jobs, go away and come back. A job takes the guider calls that its host has not in its
cache, over the host's speed. Printed are the seconds that it took here, the share of the hosts' time in which they
computed, what was computed twice, and whether each job was done once.
"""

import argparse
import heapq
import itertools
import json
import math
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fleet_results import RESULTS, write_results

from host_server import CHECKOUT, load_package

load_package("fleet")

from fleet.job_list import JobList, read_job_list  # noqa: E402
from fleet.ledger import WAITING, Ledger  # noqa: E402
from fleet.plan import Plan, estimate  # noqa: E402
from fleet.runner import AT_A_TIME  # noqa: E402
from fleet.work import Work  # noqa: E402

GRAPH = CHECKOUT / "fleet" / "examples" / "one_scene_many_people.json"
SLOWEST, FASTEST = 2.0, 16.0  # guider calls per second
FAILURES = 0.002  # of attempts
OUTAGES, AWAY = 0.0002, 600.0  # share of jobs after which a host goes away, and for how many seconds
PEOPLE, SEEDS = 25, 10  # of a prompt
ASKS_AGAIN = 5.0  # seconds, where there was nothing to take
AT_ONCE = 20_000  # events in one transaction of the ledger, in which a real fleet has one


@dataclass
class SimulatedHost:
    """calls_per_second: its speed. cached: stages of its last job. given: the jobs it has. free_at: when it has none.

    busy, away: seconds in all. outages: what was begun before the last of them came to nothing.
    """

    name: str
    calls_per_second: float
    cached: tuple = ()
    given: list[int] = field(default_factory=list)
    free_at: float = 0.0
    busy: float = 0.0
    away: float = 0.0
    outages: int = 0
    done: int = 0


class Simulation:
    """Runs the jobs of a Work, with the queue and the ledger of a fleet, on simulated hosts."""

    def __init__(self, work: Work, hosts: int, seed: int):
        self._work, self._random = work, random.Random(seed)
        spread = math.log(FASTEST / SLOWEST)
        speeds = [SLOWEST * math.exp(spread * self._random.random()) for _ in range(hosts)]
        self.hosts = [SimulatedHost(f"host {number}", speed) for number, speed in enumerate(speeds)]
        self._events: list[tuple] = []  # (time, order, method, host, its outages then, arguments)
        self._order = itertools.count()
        self.ended = 0.0  # simulated seconds

    def run(self) -> None:
        """Until no job is left."""
        for host in self.hosts:
            self._at(0.0, self._ask, host)
        while not self._work.over:
            with self._work.ledger.transaction():
                for _ in range(AT_ONCE):
                    if self._work.over:
                        break
                    self.ended, _, method, host, outages, arguments = heapq.heappop(self._events)
                    if outages == host.outages:
                        method(self.ended, host, *arguments)

    def utilisation(self) -> float:
        """The share of the hosts' time, less what they were away, in which they computed, 0 .. 1."""
        return sum(host.busy for host in self.hosts) / sum(self.ended - host.away for host in self.hosts)

    def _at(self, when: float, method, host: SimulatedHost, *arguments) -> None:
        heapq.heappush(self._events, (when, next(self._order), method, host, host.outages, arguments))

    def _ask(self, now: float, host: SimulatedHost) -> None:
        """A host takes what it has room for; where there is nothing it asks again."""
        self._work.join(host.name)
        while len(host.given) < self._work.room(AT_A_TIME):
            number = self._work.take(host.name)
            if number is None:
                if not host.given:
                    self._at(now + ASKS_AGAIN, self._ask, host)
                return
            self._work.submit(number, host.name)
            stages, calls = (text.split() for text in self._work.ledger.stages(number))
            count = sum(int(calls) for stage, calls in zip(stages, calls, strict=True) if stage not in host.cached)
            seconds = count / host.calls_per_second
            host.cached = tuple(stages)
            host.given.append(number)
            host.free_at = max(now, host.free_at) + seconds
            self._at(host.free_at, self._end, host, number, seconds)

    def _end(self, now: float, host: SimulatedHost, number: int, seconds: float) -> None:
        """A job ends, mostly well; a host may go away after it, with all it has."""
        host.given.remove(number)
        host.busy += seconds
        if self._random.random() < FAILURES:
            self._work.retry(number, host.name, "a simulated failure")
        elif self._work.finish(number, seconds, ()):
            host.done += 1
            self._work.report(host.name, host.done / host.busy)
        if self._random.random() < OUTAGES:
            host.outages += 1
            for left in host.given:
                self._work.give_back(left, "the simulated host is away")
            self._work.leave(host.name)
            host.given, host.cached, host.free_at = [], (), now + AWAY
            host.away += AWAY
            self._at(host.free_at, self._ask, host)
        else:
            self._ask(now, host)


def write_jobs(jobs: int, file: Path) -> JobList:
    """A job list of so many lines, as a script writes it: prompts with SEEDS scenes each, each for PEOPLE people."""
    with open(file, "w", encoding="utf-8") as text:
        for line in itertools.islice(_lines(), jobs):
            text.write(json.dumps(line) + "\n")
    return read_job_list(file, GRAPH)


def _lines() -> Iterator[dict]:
    for prompt in itertools.count():
        for seed, person in itertools.product(range(SEEDS), range(PEOPLE)):
            yield {
                "Prompt.text": f"a photo of a person, number {prompt}",
                "Seed of the scene.noise_seed": seed,
                "Identity and key points.reference_face": person,  # in the place of a photograph
            }


def simulate(jobs: int, hosts: int, seed: int, folder: Path) -> dict[str, float]:
    """Plan and run; what came of it. folder: for list and ledger."""
    started = time.monotonic()
    listed = write_jobs(jobs, folder / "jobs.jsonl")
    written = time.monotonic()
    ledger = Ledger(folder)
    plan = Plan(listed)
    ledger.plan(plan.jobs(), "simulated")
    planned = estimate(ledger, WAITING).calls
    work = Work(ledger, folder, plan.prepare, attempts=10)
    simulation = Simulation(work, hosts, seed)
    ran_from = time.monotonic()
    simulation.run()
    seconds = time.monotonic() - written
    ledger.close()
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        (done,) = connection.execute("SELECT count(*) FROM jobs WHERE state = 'done'").fetchone()
        (ends,) = connection.execute("SELECT count(*) FROM attempts WHERE outcome = 'done'").fetchone()
    calls = sum(host.busy * host.calls_per_second for host in simulation.hosts)
    return {
        "hosts": hosts,
        "jobs": jobs,
        "jobs done": done,
        "ends of jobs": ends,
        "utilisation": simulation.utilisation(),
        "guider calls planned": planned,
        "guider calls more than planned, share": calls / planned - 1,
        "pieces taken over": len(work.queue.taken_over),
        "outages": sum(host.outages for host in simulation.hosts),
        "simulated hours": simulation.ended / 3600,
        "seconds to write the list": written - started,
        "seconds to plan": ran_from - written,
        "seconds to plan and run": seconds,
        "memory at most, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="for fleet-simulation.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fleet-simulation-") as folder:
        found = simulate(options.jobs, options.hosts, options.seed, Path(folder))
    for name, value in found.items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    print(write_results(found, "fleet-simulation", options.results))


if __name__ == "__main__":
    main()

"""The plan: what a job list comes to before anything runs, and what a job is when its turn comes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from .errors import FleetError
from .files import Hashes, ModelFiles, Pictures
from .job_list import WORKFLOW, JobList
from .ledger import DONE, FAILED, IN_FLIGHT, WAITING, Ledger, Planned
from .template import Template, read_workflow


class Plan:
    """The jobs of a list. models: a folder with the hosts' model files, so that their contents count; None: names do.

    Raises FleetError, with the place in the list, for what cannot be.
    """

    def __init__(self, jobs: JobList, models: Path | None = None):
        self._list = jobs
        hashes = Hashes()
        self._pictures, self._models = Pictures(hashes), ModelFiles(models, hashes)
        self._graphs: dict[str, dict] = {}
        self._templates: dict[tuple, Template] = {}

    def jobs(self) -> Iterator[Planned]:
        """Each line of the list."""
        for line, row in enumerate(self._list.jobs(), 1):
            try:
                template = self._template(row)
                job = template.job(template.values(row))
            except FleetError as error:
                raise FleetError(f"{self._list.file}, job {line}: {error}") from error
            stages = " ".join(stage.signature for stage in job.stages)
            yield Planned(job.id, line, row, job.models, stages, " ".join(str(stage.calls) for stage in job.stages))

    def prepare(self, job_id: str, row: dict) -> tuple[dict, list[tuple[str, bytes]]]:
        """The graph of a row and the pictures that it needs, (name for the hosts, bytes).

        Raises FleetError where a file has changed since the job was planned: it would be another job.
        """
        template = self._template(row)
        values = template.values(row)
        if template.job(values).id != job_id:
            raise FleetError("a file that it names has changed since the run began; run the list again")
        return template.resolved(values), [
            (value, self._pictures.content(value)) for value in values if self._pictures.has(value)
        ]

    def _template(self, row: dict) -> Template:
        if not isinstance(row.get(WORKFLOW, ""), str):
            raise FleetError(f"workflow: {row[WORKFLOW]!r} is no name of a file")
        key = row.get(WORKFLOW), *row
        if key not in self._templates:
            folder = self._list.file.parent
            file = row.get(WORKFLOW)
            if not file:
                raise FleetError("names no workflow: give --workflow FILE, or a column `workflow`")
            if file not in self._graphs:
                self._graphs[file] = read_workflow(folder / file)
            columns = [column for column in row if column != WORKFLOW]
            self._templates[key] = Template(self._graphs[file], columns, folder, self._pictures, self._models)
        return self._templates[key]


@dataclass
class Share:
    """One of the nodes that ask the model, by its place among a job's: made how often, for how many jobs."""

    jobs: int = 0
    made: int = 0
    calls: int = 0


@dataclass
class Estimate:
    """What some jobs come to. calls: guider calls. shares: of the first, second, … node that asks the model."""

    jobs: int = 0
    calls: int = 0
    shares: list[Share] = field(default_factory=list)


def estimate(ledger: Ledger, *states: str) -> Estimate:
    """Count what the last list's jobs in these states take, if neighbours share what they can."""
    found, before = Estimate(), ("", [])
    for _, models, stages, calls in ledger.in_order(*states):
        found.jobs += 1
        signatures = stages.split()
        there = set(before[1]) if models == before[0] else set()
        for place, (signature, count) in enumerate(zip_longest(signatures, map(int, calls.split()))):
            if place == len(found.shares):
                found.shares.append(Share())
            found.shares[place].jobs += 1
            if signature not in there:
                found.shares[place].made += 1
                found.shares[place].calls += count
                found.calls += count
        before = models, signatures
    return found


def describe(ledger: Ledger, lines: int, retry_failed: bool = False) -> str:
    """A plan in words, for --dry-run and the head of a run. retry_failed: with what has failed."""
    counts = ledger.counts()
    jobs = sum(counts.values())
    told = [f"{jobs} jobs" + (f" ({lines - jobs} of {lines} lines repeat others)" if lines > jobs else "")]
    told[0] += "".join(f", {counts[state]} {state}" for state in (DONE, FAILED) if counts[state])
    whole = estimate(ledger, WAITING, IN_FLIGHT, *([FAILED] if retry_failed else []))
    for place, share in enumerate(whole.shares, 1):
        shared = "" if share.made == share.jobs else f", shared by {share.jobs} jobs"
        told.append(f"  sampling or inversion {place}: {share.made} times{shared}, {share.calls} guider calls")
    told.append(f"{whole.calls} guider calls for the {whole.jobs} jobs that wait")
    done, seconds = ledger.speed()
    if done and whole.jobs:
        spent = estimate(ledger, DONE).calls
        rate = seconds / spent if spent else seconds / done
        left = rate * (whole.calls if spent else whole.jobs)
        told.append(f"about {_clock(left)} on one host, at the speed of the {done} jobs that are done")
    elif whole.jobs:
        told.append("how long that takes is told once a job is done: run it with --limit 1")
    return "\n".join(told)


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} seconds"
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"

"""The work that all hosts share: queue, ledger and files, safe to use from every host's thread."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from .errors import FleetError
from .host_api import Host, JobState
from .job_queue import JobQueue
from .ledger import FAILED, IN_FLIGHT, REFUSED, RETURNED, WAITING, Ledger, Output
from .results import fetch_outputs


class Work:
    """What waits, what is under way and what is done.

    prepare: (job id, its row) -> (graph, [(name for the hosts, bytes)]), of the plan. attempts: after so many failed
    ones a job fails for good. limit: stop after so many jobs of this run, None for all.
    """

    def __init__(self, ledger: Ledger, folder: Path, prepare: Callable, attempts: int, limit: int | None = None):
        self.ledger, self.folder = ledger, folder
        self._prepare, self._attempts = prepare, attempts
        self._lock = threading.RLock()
        self.queue = JobQueue(
            ((number, models, stages[:12]) for number, models, stages, _ in ledger.in_order(WAITING)), self._redone
        )
        counts = ledger.counts()
        self._left = counts[WAITING] + counts[IN_FLIGHT]
        if limit is not None:
            self._left = min(self._left, limit)
        self._takeable = self._left - counts[IN_FLIGHT]
        self._over = threading.Event()
        self.failed = 0  # jobs, in this run
        self.error: FleetError | None = None
        if self._left <= 0:
            self._over.set()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, or the run was stopped."""
        return self._over.is_set()

    def wait(self, seconds: float) -> None:
        """Let some time pass, less if the run is over before."""
        self._over.wait(seconds)

    @property
    def left(self) -> int:
        """How many jobs are not ended."""
        return max(self._left, 0)

    def stop(self, error: FleetError | None = None) -> None:
        """End the run; `error`: for a reason that concerns all of it."""
        self.error = self.error or error
        self._over.set()

    def _redone(self, number: int, before: int) -> tuple[int, int]:
        """Guider calls that a job shares with the one before it, and its own."""
        shared, own = 0, 0
        stages, calls = self.ledger.stages(number)
        before_stages = set(self.ledger.stages(before)[0].split())
        for stage, count in zip(stages.split(), calls.split(), strict=True):
            if stage in before_stages:
                shared += int(count)
            else:
                own += int(count)
        return shared, own

    def join(self, host: str) -> None:
        """A host takes part."""
        with self._lock:
            self.queue.join(host)

    def leave(self, host: str) -> None:
        """A host takes part no more, or not for now: what it has not begun is anybody's."""
        with self._lock:
            self.queue.leave(host)

    def report(self, host: str, jobs_per_second: float) -> None:
        """How fast a host is."""
        with self._lock:
            self.queue.report(host, jobs_per_second)

    def room(self, most: int) -> int:
        """How many jobs a host may have at a time: one when fewer wait than there are hosts, so that none hoards."""
        with self._lock:
            return most if self.queue.waiting > self.queue.host_count else 1

    def take(self, host: str) -> int | None:
        """The next job for a host, None if there is none now."""
        with self._lock:
            if self._takeable <= 0:
                return None
            number = self.queue.take(host)
            self._takeable -= number is not None
            return number

    def prepare(self, number: int) -> tuple[str, dict, list]:
        """(id, graph, pictures) of a job. Raises FleetError where it cannot be made any more."""
        job = self.ledger.job(number)
        return job["id"], *self._prepare(job["id"], job["row"])

    def submit(self, number: int, host: str) -> None:
        """A job is about to be given to a host."""
        self.ledger.submit(number, host)

    def collect(self, number: int, host: Host, state: JobState, graph: dict) -> bool:
        """Fetch what a job has made, then write it down. Whether this was the first time. Raises HostGone, FilesGone.

        Raises FleetError where the folder cannot be written to.
        """
        try:
            outputs = fetch_outputs(host, state, graph, number, self.folder)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            raise FleetError(f"{self.folder}: cannot be written to: {error}") from error
        return self.finish(number, state.seconds or 0.0, outputs)

    def finish(self, number: int, seconds: float, outputs: Iterable[Output]) -> bool:
        """A job is done and its files are in place. Whether this was the first time."""
        first = self.ledger.finish(number, seconds, outputs)
        if first:
            self._ended()
        return first

    def fail(self, number: int, reason: str) -> None:
        """A job has failed by its own fault."""
        self.ledger.fail(number, reason)
        with self._lock:
            self.failed += 1
        self._ended()

    def refused(self, number: int, host: str, reason: str, elsewhere: bool) -> bool:
        """A host refuses a job. Whether another may take it: one that has not tried, for what only this one lacks."""
        with self._lock:
            tried = {*self.ledger.refused_by(number), host}
            if elsewhere and self.queue.hosts - tried:
                self.ledger.give_back(number, reason, REFUSED)
                self._wait_again(number, tried)
                return True
        self.fail(number, reason)
        return False

    def retry(self, number: int, host: str, reason: str) -> bool:
        """An attempt has failed. Whether the job is tried again, on another host if there is one."""
        with self._lock:
            if self.ledger.failures(number) + 1 < self._attempts:
                self.ledger.give_back(number, reason, FAILED)
                self._wait_again(number, {host})
                return True
        self.fail(number, f"{reason} (attempt {self._attempts} of {self._attempts})")
        return False

    def give_back(self, number: int, reason: str) -> None:
        """A job comes back by no fault of its own."""
        with self._lock:
            self.ledger.give_back(number, reason, RETURNED)
            self._wait_again(number)

    def _wait_again(self, number: int, but_not_to=()) -> None:
        self.queue.give_back(number, but_not_to)
        self._takeable += 1

    def _ended(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self._over.set()

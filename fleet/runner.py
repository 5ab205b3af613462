"""One host at work: it takes jobs while it has room, asks how they stand, and fetches what came of them."""

import threading
import time
import traceback
from dataclasses import dataclass, field

from .errors import FleetError, HostGone, JobRefused
from .host_api import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING, Host, JobState
from .progress_socket import ProgressSocket
from .results import FilesGone
from .work import Work

AT_A_TIME = 2  # jobs that a host has: one that runs, and one so that it need not wait for us
NOBODYS = "00000000-0000-0000-0000-000000000000"  # the id of no job: to see whether a host answers
UNKNOWN = 3  # answers in a row that a host does not know a job, until it is taken for lost
SHORTEST_REST, LONGEST_REST = 1.0, 60.0  # seconds, after a host has failed to answer
MEMORY = "OutOfMemory", "CUDA error", "HIP error", "allocation on device"


@dataclass
class Given:
    """A job that the host has. status: as the host last told. unknown: how often in a row it has not known it."""

    number: int
    id: str
    graph: dict
    status: str = PENDING
    unknown: int = 0


@dataclass
class Shown:
    """What a host is at, for who watches. state: in a few words."""

    state: str = "starting"
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    progress: str = ""
    since: float = field(default_factory=time.monotonic)


class Runner(threading.Thread):
    """The thread of one host.

    poll: seconds between questions. silence: seconds without any sign of life from the host's jobs, until they are
    given up. patience: seconds for which a host may be away until its jobs are given to others.
    """

    def __init__(self, host: Host, work: Work, poll: float, silence: float, patience: float):
        super().__init__(name=f"fleet {host.name}", daemon=True)
        self.host, self.work, self.shown = host, work, Shown()
        self._poll, self._silence, self._patience = poll, silence, patience
        self._leaving = threading.Event()
        self._given: dict[int, Given] = {}
        self._forsaken: set[str] = set()  # ids that others have by now, and this host may have still
        self._stuck: set[str] = set()  # ids that were cancelled, and may run still
        self._sign = time.monotonic()  # of life, the last
        self._there = False  # whether the host answers
        self._rest = 0.0
        self._away = None  # since when the host has not answered, monotonic

    def leave(self) -> None:
        """Take no more jobs, finish those that the host has, and end."""
        self._leaving.set()

    def adopt(self, number: int, job_id: str, graph: dict) -> None:
        """Go on with a job that an earlier run gave to this host. Before the thread starts."""
        self._given[number] = Given(number, job_id, graph, unknown=UNKNOWN)

    def progressed(self, job_id: str, told: str) -> None:
        """A sign of life from a job, by whatever way it came."""
        if any(given.id == job_id for given in list(self._given.values())):
            self._sign = time.monotonic()
        self.shown.progress = told

    @property
    def has_jobs(self) -> bool:
        """Whether the host has jobs that are not ended."""
        return bool(self._given)

    def run(self) -> None:
        """Until there is nothing left to do or the host leaves."""
        socket = None
        if self.host.progress_address:
            socket = ProgressSocket(self.host.progress_address, self.progressed)
            socket.start()
        try:
            while not (self.work.over or (self._leaving.is_set() and not self._given)):
                try:
                    self._step()
                    self._away, self._rest = None, 0.0
                    self.work.wait(self._poll)
                except HostGone as error:
                    self._suffer(error)
        except FleetError as error:
            self.work.stop(error)
        except Exception as error:  # nobody waits for a thread, so all have to hear of it
            traceback.print_exc()
            self.work.stop(FleetError(f"{self.host.name}: an error of the fleet itself: {error!r}"))
        finally:
            if socket:
                socket.close()
            if not self.work.over:  # else the next run asks this host for them
                for given in list(self._given.values()):
                    self._return(given, "the host has left")
            self.work.leave(self.host.name)
            self.shown.state = "left"

    def _step(self) -> None:
        if not self._there:  # one that does not answer shall not take what others could make
            self.host.state(NOBODYS)
            self._there = True
        for job_id in list(self._forsaken):
            self.host.cancel(job_id)
            self._forsaken.discard(job_id)
            self._stuck.add(job_id)
        self._stuck = {job_id for job_id in self._stuck if self._runs_still(job_id)}
        (self.work.leave if self._stuck else self.work.join)(self.host.name)  # others shall have what it has not begun
        for given in list(self._given.values()):
            self._ask(given)
            if given.number in self._given:
                break  # those after it wait for it, and each question takes the host's time
        self._look_for_silence()
        if self._stuck:
            self.shown.state = "waits for the end of a job that was cancelled"
            return
        while not self._leaving.is_set() and len(self._given) < self.work.room(AT_A_TIME):
            if not self._take():
                break
        self.shown.state = "at work" if self._given else "idle"

    def _take(self) -> bool:
        """Give the host one more job; whether there was one."""
        number = self.work.take(self.host.name)
        if number is None:
            return False
        try:
            job_id, graph, pictures = self.work.prepare(number)
        except FleetError as error:
            self.work.fail(number, str(error))
            self._count(failed=True)
            return True
        self.work.submit(number, self.host.name)  # written before it is done: see the ledger
        self._given[number] = Given(number, job_id, graph)
        self._forsaken.discard(job_id)
        self._sign = time.monotonic()
        try:
            for name, content in pictures:
                if not self.host.has_input(name, len(content)):
                    self.host.upload(name, content)
            self._submit(job_id, graph)
        except JobRefused as error:
            del self._given[number]
            self._count(not self.work.refused(number, self.host.name, str(error), error.elsewhere))
        return True

    def _submit(self, job_id: str, graph: dict) -> None:
        """Queue a job, unless the host has it or has made it. An earlier end that came to nothing is forgotten."""
        state = self.host.state(job_id)
        if state is not None and state.status in (FAILED, CANCELLED):
            self.host.forget(job_id)
            state = None
        if state is None:
            self.host.submit(job_id, graph)

    def _ask(self, given: Given) -> None:
        """How a job stands, and what follows from it."""
        state = self.host.state(given.id)
        if state is None:
            given.unknown += 1
            if given.unknown >= UNKNOWN:
                self._return(given, "the host does not know it any more: restarted, or deleted there")
            return
        given.unknown = 0
        if state.status != given.status:
            given.status, self._sign = state.status, time.monotonic()
        if state.status == COMPLETED:
            self._collect(given, state)
        elif state.status == FAILED:
            self._failed(given, state)
        elif state.status == CANCELLED:
            self._retry(given, "was interrupted on the host")

    def _look_for_silence(self) -> None:
        """Give up what the host has if there has been no sign of life for too long."""
        if not self._silent():
            return
        for given in list(self._given.values()):
            self._ask(given)  # only the first of them was asked for so far
        if not self._silent():  # another of them shows a sign
            return
        for given in list(self._given.values()):
            self.host.cancel(given.id)
            if given.status == RUNNING:
                self._stuck.add(given.id)
                self._retry(given, f"gave no sign of life for {self._silence:.0f} s")
            else:
                self._return(given, "its host does nothing")
        self._sign = time.monotonic()

    def _silent(self) -> bool:
        return bool(self._given) and time.monotonic() - self._sign > self._silence

    def _runs_still(self, job_id: str) -> bool:
        """Whether a job that was cancelled goes on all the same: a node that hangs hears of nothing."""
        state = self.host.state(job_id)
        return state is not None and state.status in (PENDING, RUNNING)

    def _collect(self, given: Given, state: JobState) -> None:
        try:
            first = self.work.collect(given.number, self.host, state, given.graph)
        except FilesGone as error:
            self.host.forget(given.id)
            self._retry(given, str(error))
            return
        del self._given[given.number]
        if first:
            self.shown.done += 1
            self.shown.seconds += state.seconds or 0.0
            self.work.report(self.host.name, self.shown.done / max(self.shown.seconds, 1e-3))

    def _failed(self, given: Given, state: JobState) -> None:
        """By its own fault, for good; for want of memory and the like it may be tried again."""
        error = state.error or {}
        told = (
            f"{error.get('node_type', 'a node')} ({error.get('node_id', '?')}): "
            f"{str(error.get('exception_message', 'failed')).strip()}"
        )
        if any(sign in f"{error.get('exception_type')} {told}" for sign in MEMORY):
            self._retry(given, told)
            return
        del self._given[given.number]
        self.work.fail(given.number, told)
        self._count(failed=True)

    def _retry(self, given: Given, reason: str) -> None:
        del self._given[given.number]
        self._count(not self.work.retry(given.number, self.host.name, reason))

    def _return(self, given: Given, reason: str) -> None:
        """Let others have a job that this host was given. If it ran, it may be what the host has died of."""
        del self._given[given.number]
        self._forsaken.add(given.id)
        if given.status == RUNNING:
            self._count(not self.work.retry(given.number, self.host.name, reason))
        else:
            self.work.give_back(given.number, reason)

    def _count(self, failed: bool) -> None:
        self.shown.failed += failed

    def _suffer(self, error: HostGone) -> None:
        """The host did not answer: rest, longer each time, and in the end let others have its jobs."""
        now, self._there = time.monotonic(), False
        self._away = self._away or now
        self.shown.state = str(error)
        if now - self._away >= self._patience:
            for given in list(self._given.values()):
                self._return(given, str(error))
            self.work.leave(self.host.name)
        self._rest = min(max(2 * self._rest, SHORTEST_REST), LONGEST_REST)
        until = now + self._rest
        while time.monotonic() < until and not self.work.over:
            if self._leaving.is_set() and now - self._away >= self._patience:
                break
            self.work.wait(0.1)

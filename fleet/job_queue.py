"""Which host does what next. Work is taken, not dealt: a host asks when it has room.

Jobs stand in the ledger's order, in which those that share a scene are neighbours, and those that share models are
too. A host takes a whole group, and so computes once what its jobs share and finds the rest in its cache. When no group
is left it takes over the end of another host's, if that is done sooner for what has to be computed again.

Pure bookkeeping: no clock, no network, no threads. The real fleet and the simulation run on this.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass
class Piece:
    """A run of jobs of one group, places `first` to `end` - 1 in the queue's order. models: the files they use."""

    models: str
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


@dataclass
class Worker:
    """What a host is at. models: that it has loaded."""

    piece: Piece | None = None
    models: str | None = None


@dataclass
class JobQueue:
    """The jobs that wait.

    jobs: (number, models, group) of each, in order; jobs of one group are neighbours, groups of one models too.
    redone: (number, the one before it) -> (calls that it shares with that, calls of its own). Taking over the end of a
    piece costs the first.
    """

    jobs: Iterable[tuple[int, str, str]]
    redone: Callable[[int, int], tuple[int, int]]
    waiting: int = 0
    taken_over: list[tuple[int, int]] = field(
        default_factory=list
    )  # (number, the one before it), where a piece was cut

    def __post_init__(self):
        self._numbers = array("q")
        self._starts = array("q")  # of groups
        self._models: dict[str, tuple[int, int]] = {}  # models -> its groups that nobody has taken, as a range
        last = None
        for number, models, group in self.jobs:
            if (models, group) != last:
                if models not in self._models:
                    self._models[models] = len(self._starts), len(self._starts)
                self._models[models] = self._models[models][0], len(self._starts) + 1
                self._starts.append(len(self._numbers))
                last = models, group
            self._numbers.append(number)
        self._starts.append(len(self._numbers))
        self.waiting = len(self._numbers)
        self._returned: deque[tuple[int, frozenset]] = deque()  # a job, and the hosts that shall not have it
        self._pieces: deque[Piece] = deque()  # of hosts that have gone
        self._workers: dict[str, Worker] = {}
        self._speeds: dict[str, float] = {}  # jobs per second, also of hosts that are away

    def join(self, host: str) -> None:
        """A host takes part from now on."""
        self._workers.setdefault(host, Worker())

    def leave(self, host: str) -> None:
        """A host takes part no more; what it has not begun is anybody's."""
        worker = self._workers.pop(host, None)
        if worker and worker.piece:
            self._pieces.append(worker.piece)

    @property
    def host_count(self) -> int:
        """How many hosts take part."""
        return len(self._workers)

    @property
    def hosts(self) -> set[str]:
        """Those that take part."""
        return set(self._workers)

    def give_back(self, number: int, but_not_to: Iterable[str] = ()) -> None:
        """A job waits again. but_not_to: hosts that shall not have it while there are others."""
        self._returned.append((number, frozenset(but_not_to)))
        self.waiting += 1

    def report(self, host: str, jobs_per_second: float) -> None:
        """How fast a host has shown itself, in jobs per second."""
        self._speeds[host] = jobs_per_second

    def _speed(self, host: str) -> float:
        """What a host has shown; of one that has shown nothing, what the others do on average."""
        known = self._speeds.values()
        return self._speeds.get(host) or (sum(known) / len(known) if known else 1.0)

    def take(self, host: str) -> int | None:
        """The number of the job that a host does next; None where there is nothing for it now."""
        worker = self._workers[host]
        if not worker.piece:
            if (number := self._take_returned(host)) is not None:
                return number
            worker.piece = self._next_piece(worker) or self._take_over(host)
            if worker.piece is None:
                return None
            worker.models = worker.piece.models
        number = self._numbers[worker.piece.first]
        worker.piece.first += 1
        if not len(worker.piece):
            worker.piece = None
        self.waiting -= 1
        return number

    def _take_returned(self, host: str) -> int | None:
        for place, (number, but_not_to) in enumerate(self._returned):
            if host not in but_not_to or self.hosts <= but_not_to:
                del self._returned[place]
                self.waiting -= 1
                return number
        return None

    def _next_piece(self, worker: Worker) -> Piece | None:
        """A piece that nobody has: with the models that the worker has loaded, else with those that fewest have."""
        if self._pieces:
            return self._pieces.popleft()
        left = {models: end - first for models, (first, end) in self._models.items() if end > first}
        if not left:
            return None
        models = worker.models
        if models not in left:
            using = [other.models for other in self._workers.values()]
            models = max(left, key=lambda each: left[each] / (1 + using.count(each)))
        group, end = self._models[models]
        self._models[models] = group + 1, end
        return Piece(models, self._starts[group], self._starts[group + 1])

    def _take_over(self, host: str) -> Piece | None:
        """The end of the piece that would take longest, if this host is done with it sooner."""
        others = [name for name, other in self._workers.items() if other.piece]
        if not others:
            return None
        name = max(others, key=lambda each: len(self._workers[each].piece) / self._speed(each))
        other, mine, theirs = self._workers[name], self._speed(host), self._speed(name)
        piece = other.piece
        shared, own = self.redone(self._numbers[piece.end - 1], self._numbers[piece.end - 2])
        # In jobs: what is computed again is worth so many of them.
        again = shared / own if own else 0
        count = max(round((len(piece) - again) * mine / (mine + theirs)), 1)
        if (again + count) / mine >= len(piece) / theirs:
            return None
        cut = piece.end - count
        self.taken_over.append((self._numbers[cut], self._numbers[cut - 1]))
        taken = Piece(piece.models, cut, piece.end)
        piece.end = cut
        if not len(piece):
            other.piece = None
        return taken

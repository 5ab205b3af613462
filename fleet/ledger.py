"""The ledger: what became of each job, in one SQLite file that outlives any process.

A job's state is `waiting`, `in flight` (a host has it or may have it), `done` or `failed`. Whatever happens to a job is
written before anybody acts on it, so after a kill at any moment the ledger says what may have to be asked or repeated.
"""

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import FleetError

# How attempts have ended, beside DONE and FAILED: the host went away, by no fault of the job; it did not take the job.
# What was failed or refused before somebody asked to try again is forgiven.
RETURNED, REFUSED, FORGIVEN = "returned", "refused", "forgiven"
LONGEST_LOG = 16_384  # pages of 4 KiB that are appended before they are put in their places, each once
CACHE = 262_144  # KiB of the file in memory, at most
WAITING, IN_FLIGHT, DONE, FAILED = "waiting", "in flight", "done", "failed"

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY,      -- the same for ever: pictures are named after it
    id TEXT NOT NULL UNIQUE,
    line INTEGER NOT NULL,           -- in the job list, from 1
    listed INTEGER NOT NULL,         -- the last run whose list had it
    row TEXT NOT NULL,               -- what it sets: {column: value}
    models TEXT NOT NULL,
    stages TEXT NOT NULL,            -- signatures of what asks the model, what is shared most first
    calls TEXT NOT NULL,             -- guider calls of each stage
    state TEXT NOT NULL DEFAULT 'waiting',
    host TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    since REAL,
    seconds REAL
);
CREATE INDEX IF NOT EXISTS in_order ON jobs (listed, models, stages, number);
CREATE TABLE IF NOT EXISTS attempts (  -- that have ended; one still under way is in `jobs`
    number INTEGER NOT NULL, attempt INTEGER NOT NULL, host TEXT NOT NULL, since REAL NOT NULL,
    seconds REAL, outcome TEXT NOT NULL, reason TEXT,
    PRIMARY KEY (number, attempt)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (
    number INTEGER NOT NULL, place INTEGER NOT NULL, node TEXT NOT NULL,
    file TEXT, bytes INTEGER, sha256 TEXT, text TEXT,
    PRIMARY KEY (number, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, since REAL NOT NULL, list TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Planned:
    """A job as a list has it. row: {column: value}. models, stages, calls: of template.Job, written out."""

    id: str
    line: int
    row: dict
    models: str
    stages: str
    calls: str


@dataclass(frozen=True)
class Output:
    """What one node put out: a file below the folder of results, or text. node: its title."""

    node: str
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    text: str | None = None


class Ledger:
    """The ledger of the folder `folder`, for one process at a time.

    Each method is one transaction, unless a `transaction` is open. Raises FleetError if another process has it open,
    or the file is none of ours.
    """

    def __init__(self, folder: Path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FleetError(f"--output {folder}: cannot be made: {error.strerror}") from error
        self._lock = threading.RLock()
        self._hold = _locked(folder / "in-use.sqlite", folder)
        self._open = 0
        try:
            self._connection = sqlite3.connect(folder / "ledger.sqlite", check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(f"PRAGMA cache_size=-{CACHE}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint={LONGEST_LOG}")
            self._connection.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            self._hold.close()
            raise FleetError(f"{folder / 'ledger.sqlite'}: is no ledger of the fleet: {error}") from error

    def close(self) -> None:
        """Let another process have it."""
        with self._lock:
            self._connection.close()
            self._hold.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is done inside, and for one thread at a time."""
        with self._lock:
            if not self._open:
                self._connection.execute("BEGIN IMMEDIATE")
            self._open += 1
            try:
                yield
            except BaseException:
                self._open -= 1
                if not self._open:
                    self._connection.execute("ROLLBACK")
                raise
            self._open -= 1
            if not self._open:
                self._connection.execute("COMMIT")

    def _all(self, statement: str, *values) -> list[tuple]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def _do(self, statement: str, *values) -> int:
        """How many rows a statement has changed."""
        return self._connection.execute(statement, values).rowcount

    def plan(self, jobs: Iterable[Planned], source: str) -> int:
        """Write down the jobs of a list, those that are new as waiting. Returns how many lines the list has."""
        with self.transaction():
            self._do("INSERT INTO runs (since, list) VALUES (?, ?)", time.time(), source)
            (run,) = self._all("SELECT max(run) FROM runs")[0]
            lines = 0

            def rows():
                nonlocal lines
                for job in jobs:
                    lines += 1
                    row = json.dumps(job.row, ensure_ascii=False)
                    yield job.id, job.line, run, row, job.models, job.stages, job.calls

            self._connection.executemany(
                "INSERT INTO jobs (id, line, listed, row, models, stages, calls) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET listed = excluded.listed, stages = excluded.stages, "
                "models = excluded.models, calls = excluded.calls, "
                "line = CASE WHEN listed = excluded.listed THEN line ELSE excluded.line END, "
                "row = CASE WHEN listed = excluded.listed THEN row ELSE excluded.row END",
                rows(),
            )
            # What an earlier list had in flight is nobody's concern now.
            self._do("UPDATE jobs SET state = ? WHERE state = ? AND listed != ?", WAITING, IN_FLIGHT, run)
            return lines

    @property
    def run(self) -> int:
        """The number of the last run."""
        return self._all("SELECT coalesce(max(run), 0) FROM runs")[0][0]

    def counts(self) -> dict[str, int]:
        """How many jobs of the last list are in each state."""
        counts = dict.fromkeys((WAITING, IN_FLIGHT, DONE, FAILED), 0)
        return counts | dict(self._all("SELECT state, count(*) FROM jobs WHERE listed = ? GROUP BY state", self.run))

    def in_order(self, *states: str) -> Iterator[tuple[int, str, str, str]]:
        """(number, models, stages, calls) of the last list's jobs in these states, in the order they are to be made."""
        marks = ", ".join("?" * len(states))
        statement = (
            f"SELECT number, models, stages, calls FROM jobs WHERE listed = ? AND state IN ({marks}) "
            "ORDER BY models, stages, number"
        )
        yield from self._connection.execute(statement, (self.run, *states))

    def stages(self, number: int) -> tuple[str, str]:
        """Stages and calls of a job."""
        return self._all("SELECT stages, calls FROM jobs WHERE number = ?", number)[0]

    def job(self, number: int) -> dict:
        """id, row, attempts and state of a job."""
        (found,) = self._all("SELECT id, row, attempts, state FROM jobs WHERE number = ?", number)
        return {"id": found[0], "row": json.loads(found[1]), "attempts": found[2], "state": found[3]}

    def in_flight(self) -> list[tuple[int, str]]:
        """(number, host) of the jobs that hosts have or may have, in the order in which they were given."""
        return self._all("SELECT number, host FROM jobs WHERE state = ? ORDER BY since", IN_FLIGHT)

    def refused_by(self, number: int) -> list[str]:
        """The hosts that did not take a job."""
        statement = "SELECT DISTINCT host FROM attempts WHERE number = ? AND outcome = ?"
        return [host for (host,) in self._all(statement, number, REFUSED)]

    def submit(self, number: int, host: str) -> None:
        """A job is about to be given to a host."""
        with self.transaction():
            self._do(
                "UPDATE jobs SET state = ?, host = ?, attempts = attempts + 1, since = ?, reason = NULL "
                "WHERE number = ?",
                IN_FLIGHT, host, time.time(), number,
            )  # fmt: skip

    def finish(self, number: int, seconds: float, outputs: Iterable[Output]) -> bool:
        """A job is done and its files are in place. False, and nothing is written, if it was done before."""
        with self.transaction():
            if not self._end(number, DONE, DONE, None, seconds):
                return False
            self._connection.executemany(
                "INSERT INTO outputs VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, place, output.node, output.file, output.bytes, output.sha256, output.text)
                    for place, output in enumerate(outputs)
                ],
            )
            return True

    def give_back(self, number: int, reason: str, outcome: str) -> None:
        """An attempt came to nothing and the job waits again. outcome: FAILED, RETURNED or REFUSED."""
        with self.transaction():
            self._end(number, WAITING, outcome, reason, None)

    def failures(self, number: int) -> int:
        """How many attempts of a job have failed that count."""
        return self._all("SELECT count(*) FROM attempts WHERE number = ? AND outcome = ?", number, FAILED)[0][0]

    def fail(self, number: int, reason: str) -> None:
        """A job has failed for good."""
        with self.transaction():
            self._end(number, FAILED, FAILED, reason, None)

    def retry_failed(self) -> None:
        """Let what has failed of the last list wait again, as if it had never been tried."""
        failed = "listed = ? AND state = ?"
        with self.transaction():
            self._do(
                "UPDATE attempts SET outcome = ? WHERE outcome IN (?, ?) "
                f"AND number IN (SELECT number FROM jobs WHERE {failed})",
                FORGIVEN, FAILED, REFUSED, self.run, FAILED,
            )  # fmt: skip
            self._do(f"UPDATE jobs SET state = ?, reason = NULL WHERE {failed}", WAITING, self.run, FAILED)

    def _end(self, number: int, state: str, outcome: str, reason: str | None, seconds: float | None) -> bool:
        """Write down how the last attempt of a job has ended, unless the job is done already. Whether it was not."""
        now = time.time()
        # In the place of an earlier end where a host that was given up is done with a job all the same. What was never
        # given to a host this time is no attempt.
        self._do(
            "INSERT OR REPLACE INTO attempts SELECT number, attempts, host, since, coalesce(?, ? - since), ?, ? "
            "FROM jobs WHERE number = ? AND (state = ? OR (? = ? AND state != ? AND host IS NOT NULL))",
            seconds, now, outcome, reason, number, IN_FLIGHT, outcome, DONE, DONE,
        )  # fmt: skip
        return bool(
            self._do(
                "UPDATE jobs SET state = ?, reason = ?, seconds = coalesce(?, ? - since) "
                "WHERE number = ? AND state != ?",
                state, reason, seconds, now, number, DONE,
            )
        )  # fmt: skip

    def speed(self) -> tuple[int, float]:
        """(jobs, seconds) of the last list's that are done: what one host took for them, one after the other."""
        statement = "SELECT count(*), coalesce(sum(seconds), 0) FROM jobs WHERE listed = ? AND state = ?"
        return self._all(statement, self.run, DONE)[0]

    def common(self) -> dict:
        """What every job of the last list sets to the same value, {column: value}; nothing where there is one job."""
        statement = "SELECT row FROM jobs WHERE listed = ?"
        with self._lock:
            rows = (json.loads(row) for (row,) in self._connection.execute(statement, (self.run,)))
            common, several = next(rows, {}), False
            for row in rows:
                several = True
                common = {name: value for name, value in common.items() if name in row and row[name] == value}
                if not common:
                    break
        return common if several else {}

    def rows(self) -> Iterator[dict]:
        """Every job of the last list, in its lines' order, with its outputs: what the reports are made of."""
        names = "number", "id", "line", "state", "reason", "attempts", "host", "seconds", "row"
        statement = f"SELECT {', '.join(names)} FROM jobs WHERE listed = ? ORDER BY line"
        with self._lock:
            for values in self._connection.execute(statement, (self.run,)):
                found = dict(zip(names, values, strict=True))
                found["row"] = json.loads(found["row"])
                found["outputs"] = [
                    Output(*output)
                    for output in self._connection.execute(
                        "SELECT node, file, bytes, sha256, text FROM outputs WHERE number = ? ORDER BY place",
                        (found["number"],),
                    )
                ]
                yield found


def _locked(file: Path, folder: Path) -> sqlite3.Connection:
    """A connection that holds `file` as a lock between processes; the system lets go of it when this one is killed."""
    connection = None
    try:
        connection = sqlite3.connect(file, timeout=0, check_same_thread=False, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if connection:
            connection.close()
        if "locked" in str(error):
            raise FleetError(
                f"{folder}: another run is writing there. Wait for it, or choose another folder"
            ) from error
        raise FleetError(f"{folder}: cannot be written to: {error}") from error
    return connection

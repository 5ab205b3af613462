"""Measured values kept in one SQLite file, so that a run that ended early goes on where it was."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from paper.metric import Metric, Value
from paper.pictures import digest, digest_of
from paper.records import Record

PATIENCE = 60  # seconds to wait for another process that writes
AT_ONCE = 500  # keys in one question; SQLite takes 999


class Cache:
    """Values by the digest of all that they depend on: float32 arrays, or None where there is no face."""

    def __init__(self, file: Path):
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, timeout=PATIENCE)
        with self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS measured (key TEXT PRIMARY KEY, metric TEXT, value BLOB)"
            )

    def find(self, keys: Sequence[str]) -> dict[str, np.ndarray | None]:
        """The values of those keys that have one."""
        found = {}
        for first in range(0, len(keys), AT_ONCE):
            some = keys[first : first + AT_ONCE]
            marks = ", ".join("?" * len(some))
            rows = self._database.execute(f"SELECT key, value FROM measured WHERE key IN ({marks})", some)
            found |= {key: None if blob is None else np.frombuffer(blob, "<f4") for key, blob in rows}
        return found

    def keep(self, metric: Metric, values: Mapping[str, Value]) -> None:
        """Write values of a metric, by key; all of them or, if the process dies, none."""
        rows = [(key, metric.name, _blob(value)) for key, value in values.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?)", rows)


def _blob(value: Value) -> bytes | None:
    return None if value is None else np.atleast_1d(np.asarray(value, "<f4")).tobytes()


def key_of(metric: Metric, unit: Sequence[Record]) -> str:
    """The digest of a metric with its weights, and of the content of all that it reads of a unit's records."""
    return digest_of(metric.name, metric.version, *(_read(record, name) for record in unit for name in _names(metric)))


def _names(metric: Metric) -> tuple[str, ...]:
    return ("picture", *metric.reads)


def _read(record: Record, name: str) -> str:
    """The content of one field of a record, as a digest where it is in files."""
    value = getattr(record, name)
    if isinstance(value, Path):
        return digest(value)
    if isinstance(value, tuple):
        return digest_of(*map(digest, value))
    return repr(sorted(value.items())) if isinstance(value, Mapping) else str(value)

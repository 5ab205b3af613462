"""From records and metrics to measured rows, with what was measured before taken from the cache.

A row is {"method", "start_step", "forward_scale", "identity", "prompt", "seed", "file", "values"}. One without a prompt
is of all pictures that the method made of the identity; one without an identity is of all that it made.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from paper.cache import Cache, key_of
from paper.metric import Metric
from paper.records import Record

BATCH = 16  # pictures measured at a time


def measure(
    records: Sequence[Record], metrics: Sequence[Metric], cache: Cache, batch: int = BATCH, quiet: bool = False
) -> list[dict]:
    """Rows of all records, in their order, then of their identities and methods. quiet: without a progress bar.

    A value is kept as soon as its batch is measured. A method whose records lack what a metric reads has no values of
    it. Raises ValueError for records that stand there twice, and for methods of which only some lack that.
    """
    _check_single(records)
    pictures = {index: {} for index in range(len(records))}
    identities, methods = {}, {}
    for metric in metrics:
        measurable = _measurable(metric, records)
        units = _units(records, measurable, metric.of_identity)
        values = values_of(metric, [[records[index] for index in unit] for unit in units], cache, batch, quiet)
        for unit, value in zip(units, values, strict=True):
            if metric.of_identity:
                identities.setdefault(_group(records[unit[0]]), {})[metric.name] = float(value[0])
            elif metric.pool is None:
                pictures[unit[0]][metric.name] = None if value is None else float(value[0])
        if metric.pool is not None:
            _pool(metric, [records[index] for index in measurable], values, identities, methods)
    rows = [_row(_group(one), pictures[index], one) for index, one in enumerate(records)]
    rows += [_row(group, found) for group, found in identities.items()]
    return rows + [_row((*group, None), found) for group, found in methods.items()]


def write_rows(rows: Sequence[dict], file: Path) -> None:
    """Write JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _check_single(records: Sequence[Record]) -> None:
    seen = set()
    for one in records:
        place = (*_group(one), one.prompt, one.seed, one.picture)
        if place in seen:
            raise ValueError(f"{one.picture}: stands there twice for {one.method}, {one.identity}.")
        seen.add(place)


def _group(record: Record) -> tuple[str, int | None, float | None, str]:
    return record.method, record.start_step, record.forward_scale, record.identity


def _measurable(metric: Metric, records: Sequence[Record]) -> list[int]:
    """The numbers of the records of those methods that have what a metric reads."""
    lacking: dict[str, list[bool]] = {}
    for one in records:
        lacks = any(getattr(one, name) in (None, "", (), {}) for name in metric.reads)
        lacking.setdefault(one.method, []).append(lacks)
        if lacks != lacking[one.method][0]:
            raise ValueError(
                f"{metric.title}: some records of {one.method} have {' and '.join(metric.reads)}, and some have not; "
                f"{one.picture} is one that differs from those before it."
            )
    return [index for index, one in enumerate(records) if not lacking[one.method][0]]


def _units(records: Sequence[Record], measurable: Sequence[int], of_identity: bool) -> list[list[int]]:
    """The numbers of the records that are measured together."""
    if not of_identity:
        return [[index] for index in measurable]
    order = sorted(measurable, key=lambda index: repr(_group(records[index])))
    return [list(unit) for _, unit in groupby(order, key=lambda index: _group(records[index]))]


def values_of(
    metric: Metric, units: Sequence[Sequence[Record]], cache: Cache, batch: int = BATCH, quiet: bool = False
) -> list[np.ndarray | None]:
    """The value of each unit, from the cache where it is there. units: records that give one value together."""
    keys = [key_of(metric, unit) for unit in tqdm(units, f"{metric.title}: reading", disable=quiet, leave=False)]
    known = cache.find(keys)
    left = {key: unit for key, unit in zip(keys, units, strict=True) if key not in known}
    with tqdm(total=len(units), initial=len(units) - len(left), desc=metric.title, disable=quiet) as bar:
        for some in _batches(list(left), 1 if metric.of_identity else batch):
            measured = list(metric.measure([record for key in some for record in left[key]]))
            cache.keep(metric, dict(zip(some, measured, strict=True)))
            bar.update(len(some))
    known |= cache.find(list(left))
    return [known[key] for key in keys]


def _batches(keys: list[str], size: int) -> Iterable[list[str]]:
    return (keys[first : first + size] for first in range(0, len(keys), size))


def _pool(metric: Metric, records: Sequence[Record], values: list, identities: dict, methods: dict) -> None:
    """Put a metric's Score of every method into the identities' and the methods' values."""
    of_method: dict = {}
    for one, value in zip(records, values, strict=True):
        by_identity = of_method.setdefault(_group(one)[:-1], {})
        by_identity.setdefault(one.identity, []).append(value)
    for group, by_identity in of_method.items():
        score = metric.pool({identity: np.stack(found) for identity, found in by_identity.items()})
        methods.setdefault(group, {})[metric.name] = score.total
        for identity, value in score.of_identity.items():
            identities.setdefault((*group, identity), {})[metric.name] = value


def _row(group: tuple, values: dict, one: Record | None = None) -> dict:
    about = dict(zip(("method", "start_step", "forward_scale", "identity"), group, strict=True))
    place = {"prompt": one and one.prompt, "seed": one and one.seed, "file": one and str(one.picture)}
    return {**about, **place, "values": values}

"""What a metric is: a name, a column, a direction, and a way from pictures to values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from paper.records import Record

HIGHER, LOWER = "higher", "lower"

Value = float | Sequence[float] | None  # None: there is no face to measure


@dataclass(frozen=True)
class Score:
    """What becomes of all pictures of one method together.

    total: the method's number. of_identity: by identity, numbers whose differences and spread stand for the total's.
    """

    total: float
    of_identity: Mapping[str, float]


@dataclass(frozen=True)
class Metric:
    """One column of a table.

    name: in rows, claims and the cache. title: the column's. better: HIGHER or LOWER. version: a digest of weights and
    settings; another one makes kept values void. measure: records to values, one for each, as fractions of 1 where
    `scale` is 100. reads: the fields of a Record, beside its picture, that the value depends on. scale: from values to
    what the table shows. of_identity: `measure` gets all pictures that a method made of one person, and gives a single
    value. pool: makes a method's Score of the values of its pictures, by identity, where their mean is not it.
    """

    name: str
    title: str
    better: str
    version: str
    measure: Callable[[Sequence[Record]], Sequence[Value]]
    reads: tuple[str, ...] = ()
    scale: float = 100.0
    of_identity: bool = False
    pool: Callable[[Mapping[str, Sequence[Value]]], Score] | None = None

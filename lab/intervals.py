"""Means over people with their confidence intervals: a cluster bootstrap, a person with all its pictures at a time.

What measurements of the lab are judged by.
"""

from collections.abc import Sequence

import numpy as np

RESAMPLES, LEVEL = 4000, 95


def interval(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Mean of one number for each person, and the bounds of its LEVEL % interval: {mean, low, high}."""
    values = np.asarray(values, float)
    chosen = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(values[chosen].mean(axis=1), [tail, 100 - tail])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def difference(people: Sequence[dict], column: str, higher: str, lower: str, seed: int = 0) -> dict[str, float]:
    """`interval` of how much higher one row is than another, within each person."""
    return interval([person[higher][column] - person[lower][column] for person in people], seed)


def verdict(difference: dict[str, float]) -> str:
    """Whether a claimed difference is there: its interval is above 0, below it, or on both sides."""
    if difference["low"] > 0:
        return "holds"
    return "reversed" if difference["high"] < 0 else "undecided"


def judged(people: Sequence[dict], claims: Sequence[tuple[str, str, str, str, str]], seed: int = 0) -> list[dict]:
    """Each claim with the measured difference and whether it holds. people: for each person the columns of each row, by
    their names.

    claims: column, the row that is to be higher and the one below it, the paper's numbers, where they stand.
    """
    found = []
    for column, higher, lower, paper, place in claims:
        measured = difference(people, column, higher, lower, seed)
        claim = {"column": column, "higher": higher, "lower": lower, "paper": paper, "place": place}
        found.append({**claim, "difference": measured, "verdict": verdict(measured)})
    return found

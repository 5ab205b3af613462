"""Scores of a batch's pictures, in words: a line below each picture, and a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One score of each picture.

    name: what it is called. mean: over the batch. labels: a few words for each picture. note: on how it was measured.
    """

    name: str
    mean: float
    labels: list[str]
    note: str = ""


def measured(name: str, values: list[float], note: str = "") -> Score:
    """The Score of these values, one for each picture."""
    return Score(name, sum(values) / len(values), [f"{value:.3f}" for value in values], note)


def score_lines(scores: list[Score]) -> list[str]:
    """What stands below each picture: a line for each score."""
    rows = zip(*([f"{score.name} {label}" for label in score.labels] for score in scores), strict=True)
    return ["\n".join(row) for row in rows]


def score_report(scores: list[Score]) -> str:
    """A line for each score with its mean, then one for each picture."""
    means = [f"{one.name} {one.mean:.3f}, mean of {len(one.labels)}{one.note and f', {one.note}'}" for one in scores]
    pictures = [line.replace("\n", ", ") for line in score_lines(scores)]
    return "\n".join([*means, *(f"picture {number}: {line}" for number, line in enumerate(pictures))])

"""From measured rows to numbers of people and methods, with intervals over people."""

from collections.abc import Iterator, Sequence

from intervals import interval
from paper.methods import title
from paper.metrics import IN_PERCENT, TITLES
from paper.pocket_columns import COLUMNS, SWAPPED_IN

ABSENT = {
    "face_sim": "no face (MTCNN)",
    "arcface_sim": "no face (InsightFace)",
    "similarity": COLUMNS["no_face"],
}
# Of figures 10 and 11 a; the last three are the pocket world's.
CURVES = ("face_sim", "clip_iqa", "similarity", SWAPPED_IN, "background")

People = dict[str, dict[str, dict[str, float]]]  # by identity, method (as the tables call it) and column


def absent_column(column: str) -> str:
    """The column that says in how many pictures no face was found for another one."""
    return f"{column}_no_face"


def column_title(column: str) -> str:
    """What a table calls a column of the paper's or of the pocket world's; any other, by its own name."""
    of_absent = {absent_column(name): said for name, said in ABSENT.items()}
    of_fusion = {SWAPPED_IN: "similarity to the person swapped in"}
    return (COLUMNS | TITLES | of_absent | of_fusion).get(column, column)


def people_of(rows: Sequence[dict]) -> People:
    """Each person's means, as the tables show them. A picture without a face counts as 0, and in a column of its own.

    rows: as from paper.measure.
    """
    pictures: dict[tuple, list] = {}
    people: People = {}
    for row, label, column, value in _values(rows):
        if row["identity"] is None:
            continue
        place = row["identity"], label, column
        if row["prompt"] is None:
            people.setdefault(place[0], {}).setdefault(label, {})[column] = _shown(column, value)
        else:
            pictures.setdefault(place, []).append(value)
    for (identity, label, column), values in pictures.items():
        columns = people.setdefault(identity, {}).setdefault(label, {})
        columns[column] = sum(_shown(column, value or 0.0) for value in values) / len(values)
        if column in ABSENT:
            columns[absent_column(column)] = 100 * sum(value is None for value in values) / len(values)
    return people


def methods_of(rows: Sequence[dict], people: People, seed: int = 0) -> dict[str, dict[str, dict[str, float]]]:
    """Each method's columns: {"mean", "low", "high", "people"}. Methods come in the order of the rows.

    What stands in a row of all of a method's pictures is its mean, and the interval over people is laid around that.
    """
    labels = dict.fromkeys(map(_label, rows))
    methods = {}
    for label in labels:
        values: dict[str, list[float]] = {}
        for columns in (one[label] for one in people.values() if label in one):
            for column, value in columns.items():
                values.setdefault(column, []).append(value)
        methods[label] = {column: interval(found, seed) | {"people": len(found)} for column, found in values.items()}
    for row, label, column, value in _values(rows):
        if row["identity"] is None:
            methods[label][column] = _around(_shown(column, value), methods[label][column])
    return methods


def pictures_of(rows: Sequence[dict]) -> dict[str, int]:
    """How many pictures of each method were measured, but for those of figure 10's starting steps."""
    counts: dict[str, int] = {}
    for row in rows:
        if row["prompt"] is not None and row["start_step"] is None:
            label = title(row["method"])
            counts[label] = counts.get(label, 0) + 1
    return counts


def curve_of(rows: Sequence[dict], methods: dict) -> list[dict]:
    """The points of figures 10 and 11 a: {"method", "forward_scale", "start_step", column: {"mean", "low", "high"}}."""
    at = ("method", "forward_scale", "start_step")
    places = dict.fromkeys(tuple(row[name] for name in at) for row in rows if row["start_step"] is not None)
    return [
        dict(zip(at, place, strict=True))
        | {column: methods[title(place[0], place[2], place[1])].get(column) for column in CURVES}
        for place in sorted(places, key=lambda place: (place[0], place[1] or 0.0, place[2]))
    ]


def _values(rows: Sequence[dict]) -> Iterator[tuple[dict, str, str, float | None]]:
    for row in rows:
        for column, value in row["values"].items():
            yield row, _label(row), column, value


def _label(row: dict) -> str:
    return title(row["method"], row["start_step"], row["forward_scale"])


def _shown(column: str, value: float) -> float:
    """A value as tables show it: in percent, if it is a fraction."""
    return value if column in TITLES and column not in IN_PERCENT else 100 * value


def _around(total: float, found: dict) -> dict:
    shift = total - found["mean"]
    return {**found, "mean": total, "low": found["low"] + shift, "high": found["high"] + shift}

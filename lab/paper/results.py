"""All that is made of measured rows: the results, and the files that they are written to."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from paper.claims import Claim, claims_of, claims_over_starts, judge
from paper.figure import write_figure
from paper.methods import INPUT, title
from paper.protocol import in_short
from paper.summary import People, curve_of, methods_of, people_of, pictures_of
from paper.tables import markdown


def results_of(
    rows: Sequence[dict],
    absent: dict[str, str],
    about: dict[str, object],
    second: Sequence[dict] = (),
    seed: int = 0,
    claims: Sequence[Claim] = (),
    protocol: str | None = None,
    guider_calls: Mapping[str, int] | None = None,
) -> dict:
    """Everything, as the JSON file has it. absent: why a metric was not measured, by its name.

    second: rows of another dataset, for table II. seed: of the intervals. claims: further ones about the first dataset,
    with the methods' titles. protocol: in short; None for PROTOCOL.md's. guider_calls: of one picture, by method, as
    far as they are known.
    """
    people = people_of(rows)
    methods = methods_of(rows, people, seed)
    curve = curve_of(rows, methods)
    of_second = people_of(second)
    judged = _judged(people, _titled(claims_of("I") + claims_of("IV")) + claims_over_starts(curve), seed)
    judged += _judged(people, claims, seed)
    judged += _judged(of_second, _titled(claims_of("II")), seed)
    return {
        "about": {**about, "pictures": _counts(rows), "people": len(people)},
        "protocol": protocol or in_short(),
        "methods": methods,
        "guider_calls": {title(method): calls for method, calls in (guider_calls or {}).items()},
        "second": methods_of(second, of_second, seed),
        "claims": judged,
        "curve": curve,
        "absent": absent,
        "people": people,
    }


def write(results: dict, folder: Path, name: str) -> list[Path]:
    """Write <name>.md, <name>.json and the plots that there are values for."""
    folder.mkdir(parents=True, exist_ok=True)
    page, numbers = folder / f"{name}.md", folder / f"{name}.json"
    page.write_text(markdown(results), encoding="utf-8")
    numbers.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return [page, numbers, *write_figure(results, folder, name)]


def _judged(people: People, claims: Sequence[Claim], seed: int) -> list[dict]:
    """The claims about columns that are measured at all."""
    measured = {column for of_methods in people.values() for columns in of_methods.values() for column in columns}
    return judge(list(people.values()), [claim for claim in claims if claim[0] in measured], seed)


def _titled(claims: Sequence[Claim]) -> list[Claim]:
    return [(column, title(higher), title(lower), *said) for column, higher, lower, *said in claims]


def _counts(rows: Sequence[dict]) -> str:
    """How many pictures each method has: one number, if it is the same for all."""
    counts = pictures_of([row for row in rows if row["method"] != INPUT])
    if len(set(counts.values())) == 1:
        return f"{next(iter(counts.values()))} of each method"
    unequal = ", ".join(f"{label} {count}" for label, count in counts.items())
    measured = {column for row in rows for column in row["values"]}
    return unequal + (" (FIDs of unequal numbers of pictures do not compare)" if "fid" in measured else "")

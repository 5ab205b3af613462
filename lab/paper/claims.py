"""The orderings that the paper claims, taken from its own numbers, beside those that are measured."""

from collections.abc import Sequence

from intervals import judged
from paper.methods import (
    DREAMBOOTH,
    FULL_PHOTOMAKER,
    INPUT,
    IP_ADAPTER,
    NO_BACKWARD,
    NO_FORWARD,
    PAIRS,
    PHOTOMAKER,
    SCENE,
    SWAPPED,
    title,
)
from paper.numbers import printed_tables

NOT_MEASURED = "not measured"
LEAST = 2  # identities that a difference's interval takes

# Beyond each method against what it plugs into, in every column: what sections IV-B and IV-C say in words.
OF_TABLE_I = [
    ("scene_div", FULL_PHOTOMAKER, IP_ADAPTER),
    ("scene_div", FULL_PHOTOMAKER, DREAMBOOTH),
    ("face_sim", FULL_PHOTOMAKER, IP_ADAPTER),
    ("face_sim", FULL_PHOTOMAKER, DREAMBOOTH),
]
OF_PARTS = [
    ("face_sim", FULL_PHOTOMAKER, SWAPPED),
    ("face_sim", FULL_PHOTOMAKER, NO_FORWARD),
    ("face_sim", FULL_PHOTOMAKER, NO_BACKWARD),
    ("face_sim", SWAPPED, PHOTOMAKER),
    ("face_sim", SWAPPED, SCENE),
    ("face_sim", INPUT, FULL_PHOTOMAKER),
    ("scene_div", FULL_PHOTOMAKER, NO_BACKWARD),
    ("scene_div", FULL_PHOTOMAKER, SCENE),
    ("scene_div", SCENE, INPUT),
    ("clip_iqa", SCENE, SWAPPED),
    ("fid", NO_BACKWARD, FULL_PHOTOMAKER),
]
Claim = tuple[str, str, str, str, str]  # as in intervals.judged


def claims_of(name: str) -> list[Claim]:
    """The claims of the paper's table I, II or IV: which method has the higher number, and by how much there."""
    tables = printed_tables()
    table, first = tables[name], tables["I"]
    if name == "IV":
        numbers = first.rows | table.rows
        return [_claim(numbers, *one, "tables I, IV" if _mixed(first.rows, one) else table.place) for one in OF_PARTS]
    pairs = [(column, full, alone) for column in table.columns for full, alone in PAIRS.items()]
    more = OF_TABLE_I if name == "I" else []
    return [_claim(table.rows, *one, table.place) for one in pairs + more]


def claims_over_starts(curve: Sequence[dict]) -> list[Claim]:
    """Figure 10's: at every starting step the face is more alike than the personalised model's alone.

    curve: as from summary.curve_of. These claims have the methods' titles already.
    """
    return [
        ("face_sim", label_of(point), title(alone), "above it at every MSS", "figure 10")
        for point in curve
        if (alone := PAIRS.get(point["method"]))
    ]


def label_of(point: dict) -> str:
    """What a table calls the method at a point of the curve."""
    return title(point["method"], point["start_step"], point["forward_scale"])


def judge(people: Sequence[dict], claims: Sequence[Claim], seed: int = 0) -> list[dict]:
    """As intervals.judged, each claim over the people who have both methods; "difference" is None with too few of them.

    people: for each identity the columns of each method, by their names; methods and columns may be lacking.
    """
    found = []
    for claim in claims:
        column, higher, lower, paper, place = claim
        both = [one for one in people if column in one.get(higher, {}) and column in one.get(lower, {})]
        if len(both) >= LEAST:
            found += [{**one, "people": len(both)} for one in judged(both, [claim], seed)]
            continue
        said = {"column": column, "higher": higher, "lower": lower, "paper": paper, "place": place}
        found.append({**said, "difference": None, "verdict": NOT_MEASURED, "people": len(both)})
    return found


def _mixed(first: dict, claim: tuple[str, str, str]) -> bool:
    return any(method in first for method in claim[1:])


def _claim(numbers: dict, column: str, one: str, other: str, place: str) -> Claim:
    """The claim about two methods, the higher number first, whatever is better."""
    if numbers[one][column] < numbers[other][column]:
        one, other = other, one
    return column, one, other, f"{numbers[one][column]:.1f} > {numbers[other][column]:.1f}", place

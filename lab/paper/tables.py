"""The paper's tables and its figures 10 and 11 a as Markdown, the paper's numbers below those that were measured."""

from collections.abc import Sequence

from benchmarks.tables import table
from paper.claims import label_of
from paper.methods import title
from paper.metrics import LOWER_IS_BETTER
from paper.numbers import Printed, printed_tables
from paper.summary import CURVES, absent_column, column_title

BESIDE = {"face_sim": (absent_column("face_sim"), "arcface_sim", absent_column("arcface_sim"))}  # columns of our own
EMPTY, CALLS = "", "guider calls"


def markdown(results: dict) -> str:
    """The whole page. results: as in the JSON file."""
    parts = ["# The paper's tables", "\n".join(f"- {name}: {value}" for name, value in results["about"].items())]
    parts += ["## Protocol in short", results["protocol"], *_tables(results)]
    if results["claims"]:
        parts += ["## The paper's orderings", _claims(results["claims"])]
    if any(point[column] for point in results["curve"] for column in CURVES):
        parts += ["## Over the starting step (figures 10 and 11 a)", _curve(results["curve"])]
    if results["absent"]:
        parts += ["## Not measured", "\n".join(f"- {reason}" for reason in dict.fromkeys(results["absent"].values()))]
    return "\n\n".join(parts) + "\n"


def _tables(results: dict) -> list[str]:
    """A heading and a table for each of the paper's tables of which anything was measured, and one for all the rest."""
    parts = []
    left = {label: dict(columns) for label, columns in results["methods"].items()}
    for name, printed in printed_tables().items():
        methods, columns = results["second"] if name == "II" else results["methods"], _columns(printed)
        of_table = [methods.get(title(method), {}) for method in printed.rows]
        if any(column in measured for measured in of_table for column in printed.columns):
            parts += [f"## Table {name}: {printed.about}", _table(printed, methods, results["guider_calls"])]
        for method in printed.rows if name != "II" else ():
            for column in columns:
                left.get(title(method), {}).pop(column, None)
    for point in results["curve"]:
        left.pop(label_of(point), None)
    if left := {label: columns for label, columns in left.items() if columns}:
        parts += ["## Other measurements", _others(left, results["guider_calls"])]
    return parts


def _columns(printed: Printed) -> list[str]:
    """The paper's columns, each with those of our own that stand beside it."""
    return [name for column in printed.columns for name in (column, *BESIDE.get(column, ()))]


def _table(printed: Printed, methods: dict, calls: dict[str, int]) -> str:
    """Two lines for each method: what was measured, and the paper's numbers. calls: guider calls, by method."""
    columns, lines = _columns(printed), []
    for method, numbers in printed.rows.items():
        lines.append(_line(title(method), methods.get(title(method), {}), columns, calls))
        lines.append(["*the paper*", *(_number(numbers.get(column)) for column in columns)] + [EMPTY] * bool(calls))
    return table(_header(columns, calls), lines)


def _others(methods: dict, calls: dict[str, int]) -> str:
    columns = list(dict.fromkeys(column for columns in methods.values() for column in columns))
    return table(_header(columns, calls), [_line(label, *one, columns, calls) for label, *one in methods.items()])


def _header(columns: Sequence[str], calls: dict[str, int]) -> list[str]:
    return ["method", *map(_head, columns)] + [CALLS] * bool(calls)


def _line(label: str, measured: dict, columns: Sequence[str], calls: dict[str, int]) -> list[str]:
    told = [str(calls.get(label, EMPTY))] if calls else []
    return [label, *(_cell(measured.get(column)) for column in columns), *told]


def _claims(claims: Sequence[dict]) -> str:
    lines = [
        [
            f"{column_title(claim['column'])}: {claim['higher']} > {claim['lower']}",
            f"{claim['paper']} ({claim['place']})",
            _cell(claim["difference"]),
            claim["verdict"],
        ]
        for claim in claims
    ]
    return table(["claim", "the paper", "measured difference", "here"], lines, words=2)


def _curve(points: Sequence[dict]) -> str:
    columns = [column for column in CURVES if any(point[column] for point in points)]
    lines = [
        [title(point["method"]), _scale(point["forward_scale"]), str(point["start_step"])]
        + [_cell(point[column]) for column in columns]
        for point in points
    ]
    return table(["method", "f", "MSS", *map(_head, columns)], lines)


def _scale(value: float | None) -> str:
    return EMPTY if value is None else f"{value:g}"


def _head(column: str) -> str:
    if column.endswith(absent_column("")):
        return f"{column_title(column)}, %"
    return f"{column_title(column)} {'↓' if column in LOWER_IS_BETTER else '↑'}"


def _cell(value: dict | None) -> str:
    if value is None:
        return EMPTY
    return f"{value['mean']:.1f} ({value['low']:.1f} … {value['high']:.1f})"


def _number(value: float | None) -> str:
    return EMPTY if value is None else f"*{value:.1f}*"

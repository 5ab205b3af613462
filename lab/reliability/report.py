"""Results as a page of plain tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Section:
    """One check. criterion: what had to hold, as decided beforehand. rows: the table, its head first. held: whether."""

    title: str
    criterion: str
    rows: Sequence[Sequence[object]]
    held: bool
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The section of the page."""
        verdict = "Held." if self.held else "**Did not hold.**"
        parts = [f"## {self.title}", f"{self.criterion} {verdict}", table(self.rows), *self.notes]
        return "\n\n".join(parts)


def table(rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(_is_number(row[i]) for row in cells[1:]) for i in range(len(widths))]
    lines = [
        "| " + " | ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)) + " |"
        for row in cells
    ]
    rule = "| " + " | ".join("-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("s% "))
    except ValueError:
        return False
    return True


def page(facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The whole page. facts: (what, value) about versions, machine and date."""
    head = (
        "# Reliability\n\n"
        "Written by `python3 dev.py reliability`, which runs all of this in hosts of its own, on the CPU and on the "
        "tests' stand-in models. Its criteria stand in `lab/reliability/`; a run that misses one ends with an "
        "error.\n\n"
    )
    return head + table([("what", "value"), *facts]) + "\n\n" + "\n\n".join(s.markdown() for s in sections) + "\n"

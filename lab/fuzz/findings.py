"""What a run has found: each fault once, with its smallest graph in a file, and the tables at the end."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.classifier import FAULTS, OK, REFUSED, SLOW, STOCK, Verdict
from fuzz.generator import Case

KINDS = (OK, REFUSED, STOCK, SLOW, *FAULTS)


@dataclass
class Findings:
    """folder: where the graphs go. faults: {(kind, node, shape): how often}; counts: {(class, kind): how often}."""

    folder: Path
    faults: Counter = field(default_factory=Counter)
    counts: Counter = field(default_factory=Counter)
    lines: dict = field(default_factory=dict)
    seconds: Counter = field(default_factory=Counter)

    def count(self, case: Case, verdict: Verdict, seconds: float) -> bool:
        """Take a verdict in. Returns whether it is a fault that is not known yet."""
        target = case.graph[case.target]["class_type"]
        self.seconds[target] += seconds
        self.counts[target, verdict.kind] += 1
        with open(self.folder / "cases.tsv", "a", encoding="utf-8") as log:
            cells = (case.number, target, verdict.kind, f"{seconds:.2f}", verdict.node, verdict.what)
            print(*cells, ", ".join(case.changes), sep="\t", file=log)
        if not verdict.is_fault:
            return False
        self.faults[key(verdict)] += 1
        return self.faults[key(verdict)] == 1

    def keep(self, case: Case, verdict: Verdict, graph: dict) -> str:
        """Write a fault's graph and return the line that reports it."""
        name = "".join(letter if letter.isalnum() else "_" for letter in f"{verdict.node}_{verdict.shape}")[:70]
        file = self.folder / f"{case.number:05}_{name}.json"
        file.write_text(json.dumps(graph, indent=1), encoding="utf-8")
        changes = ", ".join(case.changes) or "none"
        line = (
            f"{verdict.kind} | {verdict.node} | {verdict.what} | case {case.number}, changed: {changes} | {file.name}"
        )
        self.lines[key(verdict)] = line
        return line

    def table(self) -> str:
        """How often each node came to each end, and each fault with its count."""
        kinds = [kind for kind in KINDS if any(found == kind for _, found in self.counts)]
        rows = [["node", *kinds, "seconds"]]
        for node in sorted({node for node, _ in self.counts}):
            rows.append([node, *(str(self.counts[node, kind]) for kind in kinds), f"{self.seconds[node]:.1f}"])
        rows.append(
            [
                "all",
                *(str(sum(n for (_, k), n in self.counts.items() if k == kind)) for kind in kinds),
                f"{self.seconds.total():.1f}",
            ]
        )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"{count} x {self.lines.get(fault, fault)}" for fault, count in self.faults.most_common()]
        return "\n".join(lines)


def key(verdict: Verdict) -> tuple[str, str, str]:
    """What makes two faults the same."""
    return verdict.kind, verdict.node, verdict.shape

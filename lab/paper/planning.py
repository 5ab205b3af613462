"""What the bench's command line comes to: what is drawn, of whom, by which graphs."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paper.api_graphs import has
from paper.graphs import Drawing, curve_drawings, drawings
from paper.jobs import Place
from paper.methods import INPUT
from paper.mtcnn import Detector
from paper.numbers import printed_tables
from paper.places import first_of, places_of
from paper.pocket_people import COLUMNS, pocket_places
from paper.records import Record

FIRST, SECOND = "", "second"  # datasets
# What the shipped workflows have otherwise; PROTOCOL.md says why.
SETTINGS = {
    "Negative prompt.text": "",
    "Swap the face in.no_face": "pass_through",
    "Swap the face in.target_order": "large-small",
    "Swap the face in.reference_order": "large-small",
}


@dataclass(frozen=True)
class Planned:
    """work: what is drawn at each place. inputs: the first dataset's photographs as records of "Input image"."""

    work: list[tuple[Place, list[Drawing]]]
    inputs: list[Record]

    @property
    def draws(self) -> bool:
        """Whether there is anything to draw."""
        return any(of_place for _, of_place in self.work)


def plan(options: argparse.Namespace, folder: Path) -> Planned:
    """What the command line asks for. folder: for the pocket world's pictures."""
    side, steps = options.size, options.steps
    columns = {"Picture size.width": side, "Picture size.height": side, "Schedule.steps": steps, **SETTINGS}
    columns |= (COLUMNS if options.pocket else {}) | options.set
    if outside := [start for start in options.starts if not 0 <= start <= steps]:
        raise ValueError(f"--starts {outside[0]}: is not within 0 and the {steps} steps.")
    of_first = drawings(methods_of(options.methods, FIRST), columns, options.graph, batches=options.pocket)
    ours = [method for method in options.methods if method not in options.graph]
    of_curve = curve_drawings(ours, options.starts, options.scales, columns, batches=options.pocket)
    graphs = [drawing.graph for drawing in of_first + of_curve]
    if unknown := [name for name in options.set if not any(has(graph, name) for graph in graphs)]:
        raise ValueError(f"--set {unknown[0]}: no graph has such an input; docs/api.md lists the titles.")
    if options.pocket:
        places, inputs = pocket_places(folder / "people", options.sample)
    else:
        detector = Detector(options.device, metric="the choice of the reference")
        places, inputs = places_of(options.faces, options.sample, detector)
    in_curve = first_of(places, options.curve_sample)
    work = [(place, of_first + of_curve * more) for place, more in zip(places, in_curve, strict=True)]
    if options.second_faces:
        of_second = drawings(methods_of(options.methods, SECOND), columns, options.graph)
        places, _ = places_of(options.second_faces, options.sample, detector, SECOND)
        work += [(place, of_second) for place in places]
    return Planned(work, inputs)


def methods_of(methods: Sequence[str], dataset: str) -> list[str]:
    """Those of some methods that are drawn of a dataset: of the second, what table II holds."""
    table = printed_tables()["II"].rows
    return [method for method in methods if method != INPUT and (dataset == FIRST or method in table)]

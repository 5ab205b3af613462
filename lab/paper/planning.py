"""What the bench's command line comes to: what is drawn, of whom, by which graphs."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paper.graphs import Drawing, drawings
from paper.jobs import Place
from paper.methods import INPUT
from paper.mtcnn import Detector
from paper.numbers import printed_tables
from paper.places import places_of
from paper.pocket_people import COLUMNS, pocket_places
from paper.protocol import figure_starts
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


def plan(options: argparse.Namespace, folder: Path) -> Planned:
    """What the command line asks for. folder: for the pocket world's pictures."""
    side, steps = options.size, options.steps
    columns = {"Picture size.width": side, "Picture size.height": side, "Schedule.steps": steps, **SETTINGS}
    columns |= COLUMNS if options.pocket else {}
    starts = figure_starts(steps) if options.starts is None else options.starts
    if outside := [start for start in starts if not 0 <= start <= steps]:
        raise ValueError(f"--starts {outside[0]}: is not within 0 and the {steps} steps.")
    of_first = drawings(methods_of(options.methods, FIRST), starts, columns, options.graph, batches=options.pocket)
    if options.pocket:
        places, inputs = pocket_places(folder / "people", options.sample)
        return Planned([(place, of_first) for place in places], inputs)
    detector = Detector(options.device, metric="the choice of the reference")
    places, inputs = places_of(options.faces, options.sample, detector)
    work = [(place, of_first) for place in places]
    if options.second_faces:
        of_second = drawings(methods_of(options.methods, SECOND), (), columns, options.graph)
        places, _ = places_of(options.second_faces, options.sample, detector, SECOND)
        work += [(place, of_second) for place in places]
    return Planned(work, inputs)


def methods_of(methods: Sequence[str], dataset: str) -> list[str]:
    """Those of some methods that are drawn of a dataset: of the second, what table II holds."""
    table = printed_tables()["II"].rows
    return [method for method in methods if method != INPUT and (dataset == FIRST or method in table)]

"""A sheet of examples: a row for each of the first people, from the photograph to the full method's picture."""

from collections.abc import Sequence
from pathlib import Path

import torch
from customenhancer.drawing.contact_sheet import draw_sheet
from PIL import Image, ImageOps

from paper.methods import FULL_INSTANTID, FULL_PHOTOMAKER, INSTANTID, PHOTOMAKER, SCENE, SWAPPED
from paper.pictures import as_tensor, open_picture
from paper.records import Record

PEOPLE, SIDE = 6, 256  # rows, pixels of a picture
SHOWN = {
    SCENE: "scene",
    SWAPPED: "face swapped in",
    PHOTOMAKER: "PhotoMaker alone",
    FULL_PHOTOMAKER: "full method, PhotoMaker",
    INSTANTID: "InstantID alone",
    FULL_INSTANTID: "full method, InstantID",
}


def write_examples(records: Sequence[Record], folder: Path, name: str) -> list[Path]:
    """Write <name>-examples.png: each row is of one person, of different prompts from person to person."""
    prompts: dict[str, dict[int, dict[str, Record]]] = {}
    for one in records:
        if one.method in SHOWN and one.start_step is None:
            of_person = prompts.setdefault(one.identity, {})
            of_person.setdefault(one.prompt, {}).setdefault(one.method, one)
    rows = [list(of_person.values())[number % len(of_person)] for number, of_person in enumerate(prompts.values())]
    if not rows:
        return []
    pictures, labels = [], []
    for row in rows[:PEOPLE]:
        shown = {label: row[method].picture for method, label in SHOWN.items() if method in row}
        reference = next(iter(row.values())).references[0]
        for label, path in {"reference": reference, **shown}.items():
            pictures.append(_small(path))
            labels.append(label)
    sheet = draw_sheet(pictures, labels, len(labels) // len(rows[:PEOPLE]))
    file = folder / f"{name}-examples.png"
    Image.fromarray((255 * sheet).round().byte().numpy()).save(file)
    return [file]


def _small(path: Path) -> torch.Tensor:
    """The middle square of a picture at SIDE pixels, (SIDE, SIDE, 3), 0 .. 1."""
    square = ImageOps.fit(open_picture(path), (SIDE, SIDE), Image.Resampling.LANCZOS)
    return as_tensor(square).movedim(0, -1)

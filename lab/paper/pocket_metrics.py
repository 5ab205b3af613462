"""The pocket world's judges in the places of the paper's metrics; the host and the pack must be loaded.

A record's facts say what its prompt tells of: "kind" of scene, and "garment_colour".
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from paper.embeddings import likeness
from paper.metric import HIGHER, LOWER, Metric
from paper.pictures import as_tensor, digest, open_picture
from paper.pocket_columns import COLUMNS, SWAPPED_IN
from paper.pocket_judges import (
    Judges,
    Seen,
    background_distance,
    diversity,
    kind_probabilities,
    wears,
)
from paper.records import Record
from pocket.world.scene import KINDS


class _Eyes:
    """Looks at each picture once."""

    def __init__(self, judges: Judges):
        self._judges = judges
        self._known: dict[str, tuple[np.ndarray | None, Tensor]] = {}

    def look(self, paths: Sequence[Path]) -> Seen:
        """Pictures of one size as the judges take them."""
        pictures = torch.stack([as_tensor(open_picture(path)).movedim(0, -1) for path in paths])
        keys = [digest(path) for path in paths]
        for key, picture in zip(keys, pictures, strict=True):
            if key not in self._known:
                seen = self._judges.look(picture[None])
                self._known[key] = seen.boxes[0], seen.directions[0]
        boxes, directions = zip(*(self._known[key] for key in keys), strict=True)
        return Seen(pictures, list(boxes), torch.stack(directions))

    def embed(self, paths: Sequence[Path]) -> list[Tensor | None]:
        """The largest face's direction in each picture, None where there is no face."""
        return [direction if direction.any() else None for path in paths for direction in self.look([path]).directions]


def pocket_metrics(judges: Judges, version: str) -> list[Metric]:
    """What the pocket world's table holds. version: a digest of the judges' weights."""
    eyes, classifier = _Eyes(judges), judges.classifier

    def seen(records: Sequence[Record]) -> Seen:
        return eyes.look([record.picture for record in records])

    def probabilities(records: Sequence[Record]) -> tuple[Tensor, Tensor]:
        """Of each kind of scene, (B, 8), and the number of the one that the prompt names, (B,)."""
        named = torch.tensor([list(KINDS).index(record.facts["kind"]) for record in records])
        return kind_probabilities(classifier, seen(records).pictures), named

    def scene(records: Sequence[Record]) -> list[float]:
        of_kinds, named = probabilities(records)
        return (of_kinds.argmax(dim=1) == named).float().tolist()

    def fidelity(records: Sequence[Record]) -> list[float]:
        of_kinds, named = probabilities(records)
        told = [SimpleNamespace(garment_colour=record.facts["garment_colour"]) for record in records]
        return ((of_kinds * F.one_hot(named, len(KINDS))).sum(dim=1) + wears(seen(records), told)).div(2).tolist()

    def background(records: Sequence[Record]) -> list[float]:
        return background_distance(seen(records).pictures, eyes.look([record.scene for record in records])).tolist()

    def between(records: Sequence[Record]) -> list[float]:
        return [diversity(classifier, seen(records))]

    def metric(name: str, measure, better: str = HIGHER, **more) -> Metric:
        return Metric(name, COLUMNS[name], better, version, torch.inference_mode()(measure), **more)

    embed = torch.inference_mode()(eyes.embed)
    return [
        likeness("similarity", COLUMNS["similarity"], version, embed),
        likeness(SWAPPED_IN, COLUMNS["similarity"], version, embed, compared=SWAPPED_IN),
        metric("scene", scene, reads=("facts",)),
        metric("diversity", between, of_identity=True),
        metric("fidelity", fidelity, reads=("facts",)),
        metric("background", background, LOWER, reads=("scene",)),
    ]

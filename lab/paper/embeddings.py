"""The mean cosine between a picture and a person's other pictures, by whatever embeds pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from paper.metric import HIGHER, Metric
from paper.pictures import digest
from paper.records import Record

Embed = Callable[[Sequence[Path]], Sequence[Tensor | None]]  # each of length 1; None: there is no face


def likeness(name: str, title: str, version: str, embed: Embed) -> Metric:
    """A metric: the cosine with each of the other pictures in which something is found, averaged. Not clipped.

    A picture in which nothing is found has the value None. Measuring raises ValueError, naming the identity, where
    none of the other pictures shows anything.
    """
    known: dict[str, Tensor | None] = {}

    def others_of(record: Record) -> Tensor:
        new = [path for path in record.others if digest(path) not in known]
        known.update(zip(map(digest, new), embed(new) if new else (), strict=True))
        found = [known[digest(path)] for path in record.others]
        found = [direction for direction in found if direction is not None]
        if not found:
            raise ValueError(
                f"{title}: identity {record.identity}: none of its {len(record.others)} other pictures shows a face."
            )
        return torch.stack(found)

    def measure(records: Sequence[Record]) -> list[float | None]:
        directions = embed([record.picture for record in records])
        return [
            None if direction is None else (others_of(record) @ direction).mean().item()
            for record, direction in zip(records, directions, strict=True)
        ]

    return Metric(name, title, HIGHER, version, measure, reads=("others",))

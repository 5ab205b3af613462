"""The mean cosine between a picture and a person's other pictures, by whatever embeds pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from paper.metric import HIGHER, Metric
from paper.pictures import digest
from paper.records import Record

Embed = Callable[[Sequence[Path]], Sequence[Tensor | None]]  # each of length 1; None: there is no face


def likeness(name: str, title: str, version: str, embed: Embed, compared: str = "others") -> Metric:
    """A metric: the cosine with each of the other pictures in which something is found, averaged. Not clipped.

    compared: the field of a Record that holds those.

    A picture in which nothing is found has the value None. Measuring raises ValueError, naming the identity, where
    none of the other pictures shows anything.
    """
    known: dict[str, Tensor | None] = {}

    def others_of(record: Record) -> Tensor:
        new = [path for path in getattr(record, compared) if digest(path) not in known]
        known.update(zip(map(digest, new), embed(new) if new else (), strict=True))
        others = [known[digest(path)] for path in getattr(record, compared)]
        found = [direction for direction in others if direction is not None]
        if not found:
            raise ValueError(
                f"{title}: identity {record.identity}: none of its {len(others)} other pictures shows a face."
            )
        return torch.stack(found)

    def measure(records: Sequence[Record]) -> list[float | None]:
        directions = embed([record.picture for record in records])
        return [
            None if direction is None else (others_of(record) @ direction).mean().item()
            for record, direction in zip(records, directions, strict=True)
        ]

    return Metric(name, title, HIGHER, version, measure, reads=(compared,))

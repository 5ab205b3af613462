"""A pool of pictures that is redrawn little by little, and training on it."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch

from pocket.examples import numbered
from pocket.training import Training

Item = TypeVar("Item")


class Pool(Generic[Item]):
    """The last `size` items of a stream; each draw moves it on by `fresh` items.

    Drawing a picture costs as much as learning from it, so each is learnt from several times. What a draw gives
    depends on the stream's start, the draws so far and the generator alone: start a stream at `fresh` * step to go on
    at a step.
    """

    def __init__(self, stream: Iterator[Item], size: int, fresh: int):
        self._stream, self._fresh = stream, fresh
        self._items = deque(islice(stream, size), maxlen=size)

    def draw(self, count: int, rng: np.random.Generator) -> list[Item]:
        """`count` different items."""
        chosen = [self._items[place] for place in rng.choice(len(self._items), count, replace=False)]
        self._items.extend(islice(self._stream, self._fresh))
        return chosen


def train_on_pool(
    training: Training,
    make: Callable[[int], Item],
    size: int,
    fresh: int,
    loss: Callable[[Pool[Item], np.random.Generator], dict[str, torch.Tensor]],
) -> None:
    """Take the steps that are left, on items that are drawn meanwhile. The options must have --workers.

    make: gives the item of a number, see `numbered`. size, fresh: of the Pool. loss: the terms of a step, see
    Training.run, from what it draws.
    """
    options = training.options
    items = numbered(make, training.step * fresh, options.workers)
    pool = Pool(items, size, fresh)
    training.run(lambda step: loss(pool, np.random.default_rng([options.seed, step])))
    items.close()

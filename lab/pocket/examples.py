"""Endless numbered examples of the pocket world: number n is the same picture in every run and on every machine."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count, islice
from typing import TypeVar

import numpy as np

from pocket.world.caption import caption
from pocket.world.identity import SPLITS, Identity, sample_identity
from pocket.world.pose import Pose, sample_pose
from pocket.world.render import render
from pocket.world.scene import Scene, sample_scene

Made = TypeVar("Made")
AHEAD = 32  # examples in the making per worker


def example(number: int, seed: int = 0, split: str = "train", shot: str | None = None) -> tuple[Scene, Pose, Identity]:
    """Example `number` (0, 1, ...) of a `split` ("train", "heldout"), of one of pose.SHOTS if given."""
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    scene, identity = sample_scene(rng, split), sample_identity(rng, split)
    return scene, sample_pose(rng, shot, identity.word), identity


def stream(
    make: Callable[[Scene, Pose, Identity], Made] = render,
    seed: int = 0,
    split: str = "train",
    start: int = 0,
    workers: int = 0,
) -> Iterator[Made]:
    """What `make` gives for the examples from number `start` on, in their order; `workers` as in `numbered`."""
    return numbered(partial(_make, make, seed, split), start, workers)


def numbered(make: Callable[[int], Made], start: int = 0, workers: int = 0) -> Iterator[Made]:
    """What `make` gives for the numbers from `start` on, in their order.

    workers: so many processes make them ahead of time, and `make` must then be a function of a module; 0 makes them
    here, one when asked for. What comes out does not depend on it.
    """
    if not workers:
        yield from map(make, count(start))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        numbers = count(start)
        waiting = deque(pool.submit(make, number) for number in islice(numbers, workers * AHEAD))
        try:
            while True:
                yield waiting.popleft().result()
                waiting.append(pool.submit(make, next(numbers)))
        finally:
            pool.shutdown(cancel_futures=True)


def example_caption(scene: Scene, pose: Pose, identity: Identity) -> str:
    """The plain caption of an example, without its picture."""
    return caption(scene, pose, identity.word)


def _make(make, seed, split, number):
    return make(*example(number, seed, split))

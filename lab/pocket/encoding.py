"""What the scripts share that draw the training pictures once."""

import argparse
import os
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from pocket.kept import OUTPUT
from pocket.unet import LATENT
from pocket.world.render import Picture


def arguments(description: str, pictures: int, seed: int) -> argparse.ArgumentParser:
    """The options that each has. pictures, seed: the defaults of these."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pictures", type=int, default=pictures)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures; 0: this one")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser


def head_shares(pictures: Iterable[Picture]) -> list[np.ndarray]:
    """The share of head in each latent of each picture, (16, 16) float32."""
    return [cv2.resize(picture.head_mask, (LATENT, LATENT), interpolation=cv2.INTER_AREA) for picture in pictures]


class Progress:
    """Says how much is done and how long the rest takes. wanted: pictures in all."""

    def __init__(self, wanted: int):
        self._wanted, self._started = wanted, time.monotonic()

    def show(self, done: int) -> None:
        """done: pictures so far, at least one."""
        left = (time.monotonic() - self._started) * (self._wanted / done - 1)
        print(f"{done / self._wanted:.0%} of {self._wanted} pictures, {left:.0f} s left", flush=True)

"""What the scripts share that measure what the text-to-image model draws."""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch

from pocket.kept import OUTPUT
from pocket.train_scenes import SceneClassifier
from pocket.train_vae import as_tensor


def arguments(description: str, sheet: str) -> argparse.ArgumentParser:
    """The options that each has. sheet: the file name of its contact sheet."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, default=OUTPUT, help="the folder of the trained weights")
    parser.add_argument("--output", type=Path, default=OUTPUT / sheet, help="the contact sheet")
    return parser


def prepare(options: argparse.Namespace) -> None:
    """Set the threads, and leave warnings out that no measurement is about."""
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates


def scene_accuracy(classifier: SceneClassifier, pictures: np.ndarray, kinds: list[int]) -> float:
    """The share of pictures (B, 128, 128, 3) uint8 whose scene is recognised. kinds: (B,), numbers in KINDS."""
    return (classifier(as_tensor(pictures)).argmax(dim=1) == torch.tensor(kinds)).float().mean().item()

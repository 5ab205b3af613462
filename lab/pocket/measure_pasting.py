"""Measure how swapped faces come back into their pictures: seam, likeness, and what is lost of hair and glasses.

nice python lab pocket.measure_pasting [--models DIR] [--pictures 100]

Pairs that no training shows, swapped by the pocket world's swapper, pasted in each way. The seam is the slope that the
border adds to the picture's: the mask's slope times the difference of the two pictures there, in grey levels for each
pixel, over the pixels that are replaced in part. Likeness is the cosine with the reference, by a recogniser that the
swapper was not trained with. Hair and glasses, as the picture's truth has them, are lost where they change by more than
16 grey levels.
"""

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from intervals import interval
from pocket.examples import example
from pocket.kept import OUTPUT
from pocket.loading import load
from pocket.measure_faces import JUDGE, LEAST, largest
from pocket.train_swapper import pair
from pocket.world.render import render

SEED = 8
LOST = 16  # grey levels
WAYS = {
    "box": ("box", 0.0, "off"),
    "box, Lab": ("box", 0.0, "Lab"),
    "face, feather 0.1": ("face", 0.1, "off"),
    "face, feather 0.2": ("face", 0.2, "off"),
    "face, feather 0.3": ("face", 0.3, "off"),
    "face, feather 0.4": ("face", 0.4, "off"),
    "face, feather 0.4, Lab": ("face", 0.4, "Lab"),
    "face, feather 0.6": ("face", 0.6, "off"),
}


def seam(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:
    """The slope that the border adds, in grey levels for each pixel.

    before, after: (H, W, 3), 0 to 1. mask: (H, W), 0 to 1, how much of each pixel was replaced.
    """
    border = (mask > 0.01) & (mask < 0.99)
    slope = np.hypot(*np.gradient(mask))
    difference = np.abs(after - before).mean(-1) / np.maximum(mask, 0.01)
    return float(255 * (slope * difference)[border].mean()) if border.any() else 0.0


def truth(number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a pair's target has hair, and where glasses: (H, W) bool each."""
    scene, pose, identity = example(number, SEED, "heldout")
    picture = render(scene, pose, identity, size)
    bare = render(scene, pose, replace(identity, glasses="none"), size)
    return picture.head_mask - picture.face_mask > 0.5, (picture.pixels != bare.pixels).any(-1)


def lost(before: np.ndarray, after: np.ndarray, where: np.ndarray) -> float:
    """The share of what is there that is gone; NaN where nothing is."""
    changed = np.abs(after - before).max(-1) > LOST / 255
    return float(changed[where].mean()) if where.any() else np.nan


def main() -> None:
    """Print a row for each way of pasting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=OUTPUT, help="the folder that the models were written to")
    parser.add_argument("--pictures", type=int, default=100, help="how many swaps")
    parser.add_argument("--size", type=int, default=512, help="of the pictures, in pixels")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates
    load(cpu=True)
    import folder_paths
    from customenhancer.faces.analysis import load_face_analysis
    from customenhancer.faces.pasting import Pasting
    from customenhancer.faces.swap import Retouch, swap_faces
    from customenhancer.faces.swappers import load_face_swapper

    folder_paths.folder_names_and_paths["insightface"] = [str(options.models / "insightface")], set()
    finder, judge = load_face_analysis("buffalo_l", "CPU"), load_face_analysis(JUDGE, "CPU")
    swapper = load_face_swapper("inswapper_128.onnx", "CPU")
    found = {way: [] for way in WAYS}
    number = -1
    while len(found["box"]) < options.pictures:
        number += 1
        one = pair(number, SEED, "heldout", options.size)
        target, source = largest(finder, one.target), largest(finder, one.reference)
        person = largest(judge, one.reference)
        if None in (target, source, person) or target.bbox[2] - target.bbox[0] < LEAST:
            continue
        hair, glasses = truth(number, options.size)
        before = one.target.astype(np.float32) / 255
        for way, settings in WAYS.items():
            picture, mask = swap_faces(
                torch.from_numpy(before), [target], [source.normed_embedding], swapper, Retouch(Pasting(*settings))
            )
            after = picture.numpy()
            result = largest(judge, (after * 255).round().astype(np.uint8))
            alike = 0.0 if result is None else float(result.normed_embedding @ person.normed_embedding)
            gone = lost(before, after, hair), lost(before, after, glasses)
            found[way].append((seam(before, after, mask.numpy()), alike, *gone))
    box = np.array(found["box"])
    print(f"{options.pictures} swaps of faces of {LEAST} pixels and more; likeness by {JUDGE}")
    for way, rows in found.items():
        rows = np.array(rows)
        seams, alike, hair, glasses = np.nanmean(rows, axis=0)
        off = interval(rows[:, 1] - box[:, 1])
        print(
            f"{way:24} seam {seams:.2f} ({seams / box[:, 0].mean():.2f} of the box's); likeness {alike:.3f}, "
            f"difference to the box's {off['low']:+.3f} to {off['high']:+.3f}; hair lost {hair:.0%}, "
            f"glasses lost {glasses:.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()

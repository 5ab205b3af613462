"""Measure how long a face takes to swap, against InsightFace's own way, in pairs: python lab pocket.measure_swap_speed

InsightFace's way draws by its own class and pastes the box in the whole picture. Each pair swaps one face both ways, in
changing order; the table tells the median ratio and how many pairs were faster.
"""

import argparse
import random
import warnings
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from pocket.kept import OUTPUT
from pocket.loading import load
from pocket.measure_faces import bgr, largest
from pocket.measure_faces import load as load_models
from pocket.train_swapper import pair

SIDES = 512, 1024, 2160
SEED = 8


def insightfaces_way(swapper, picture: torch.Tensor, target, source) -> torch.Tensor:
    """One face swapped and pasted as a box: (H, W, 3), RGB in 0..1."""
    from customenhancer.faces.analysis import to_bgr
    from customenhancer.faces.pasting import paste, soft_box

    drawn, matrix = swapper.get(to_bgr(picture), target, source, paste_back=False)
    height, width = picture.shape[:2]
    back = cv2.invertAffineTransform(matrix)
    mask = soft_box(cv2.warpAffine(np.ones(drawn.shape[:2], np.float32), back, (width, height)))
    swapped = picture.clone()
    swapped[:] = torch.from_numpy(paste(picture.numpy(), bgr(drawn).astype(np.float32) / 255, matrix, mask))
    return swapped


def main() -> None:
    """Print a row for each size of picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=OUTPUT, help="the folder that the models were written to")
    parser.add_argument("--pairs", type=int, default=20, help="for each size")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates
    load(cpu=True)
    import folder_paths
    from customenhancer.faces.pasting import Pasting
    from customenhancer.faces.swap import Retouch, swap_faces
    from customenhancer.faces.swappers import load_face_swapper

    from benchmarks.measuring import in_turns, ratio

    folder_paths.folder_names_and_paths["insightface"] = [str(options.models / "insightface")], set()
    packs, theirs = load_models(options.models)
    ours = load_face_swapper("inswapper_128.onnx", "CPU")
    for side in SIDES:
        one = next(
            found
            for found in (pair(number, SEED, "heldout", side) for number in range(100))
            if largest(packs["buffalo_l"], found.target) and largest(packs["buffalo_l"], found.reference)
        )
        target, source = (largest(packs["buffalo_l"], pixels) for pixels in (one.target, one.reference))
        picture = torch.from_numpy(one.target.astype(np.float32) / 255)
        given = picture, [target], [source.normed_embedding], ours
        ways = {
            "insightface": partial(insightfaces_way, theirs, picture, target, source),
            "box": partial(swap_faces, *given, Retouch(Pasting("box"))),
            "face": partial(swap_faces, *given, Retouch(Pasting("face"))),
        }
        for run in ways.values():
            run()  # the first warms up
        seconds = in_turns(ways, options.pairs, random.Random(side), f"{side} pixels")
        for name in ("box", "face"):
            faster = sum(one < other for one, other in zip(seconds[name], seconds["insightface"], strict=True))
            print(
                f"{side} pixels, {name}: {ratio(seconds[name], seconds['insightface']):.2f} times as long as "
                f"InsightFace's way, faster in {faster} of {options.pairs} pairs",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Train the pocket world's face swapper on pairs: one scene and pose, two people. Needs buffalo_l's recogniser.

nice python lab pocket.train_swapper [--minutes 50]     start it again to go on, until all --steps are taken
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from pocket.examples import example
from pocket.face_crops import as_input, crop, jitter, pasted_part, signed
from pocket.face_models import CROP, EMBEDDING, SWAP_CROP, Recogniser, Swapper
from pocket.onnx_file import write_onnx
from pocket.pool import train_on_pool
from pocket.training import Training, arguments
from pocket.world.identity import SPLITS, sample_identity
from pocket.world.pose import SHOTS, sample_pose
from pocket.world.render import render
from pocket.world.scene import sample_scene

STEPS = 4500
RATE = 1e-3
PAIRS = 10  # a step
POOL, FRESH = 200, 2  # pairs, and how many of them are new each step
LIKENESS = 0.3  # weight of the recogniser's judgement beside the difference in pixels
CHANGED = 3.0  # how much more a pixel counts that is to change


@dataclass(frozen=True)
class Pair:
    """target, aim: one scene and pose with two people, (size, size, 3) uint8. keypoints: the target's, (5, 2).

    reference, reference_keypoints: the aim's person elsewhere.
    """

    target: np.ndarray
    keypoints: np.ndarray
    aim: np.ndarray
    reference: np.ndarray
    reference_keypoints: np.ndarray


def pair(number: int, seed: int = 0, split: str = "train", size: int = 128) -> Pair:
    """Pair `number` (0, 1, ...) of a `split`, `size` pixels a side; the reference is never a full figure."""
    scene, pose, identity = example(number, seed, split)
    rng = np.random.default_rng([seed, SPLITS.index(split), number, 1])
    other = sample_identity(rng, split)
    target, aim = render(scene, pose, identity, size), render(scene, pose, other, size)
    shot = SHOTS[1 + rng.integers(2)]
    reference = render(sample_scene(rng, split), sample_pose(rng, shot, other.word), other, size)
    return Pair(target.pixels, target.keypoints, aim.pixels, reference.pixels, reference.keypoints)


def batch(pairs: list[Pair], rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Aligned targets, aims (B, 3, 128, 128), references (B, 3, 112, 112) and what of a swapped crop will be pasted,
    (B, 1, 128, 128); all 0 to 1, by points roughly found.

    Target and aim are cut by the target's points: that is what the swapper will be shown.
    """
    targets, aims, references, parts = [], [], [], []
    for one in pairs:
        keypoints = jitter(one.keypoints, rng)
        targets.append(crop(one.target, keypoints, SWAP_CROP))
        aims.append(crop(one.aim, keypoints, SWAP_CROP))
        references.append(crop(one.reference, jitter(one.reference_keypoints, rng), CROP))
        parts.append(pasted_part(keypoints, SWAP_CROP, len(one.target)))
    return *map(as_input, (targets, aims, references)), torch.from_numpy(np.stack(parts))[:, None]


def recognisers_view(crops: torch.Tensor) -> torch.Tensor:
    """What the recogniser would be shown of a swapper's crops (B, 3, 128, 128), 0 to 1: (B, 3, 112, 112), -1 to 1."""
    side = (SWAP_CROP - CROP) // 2
    return signed(crops[:, :, :CROP, side : side + CROP])


def losses(
    swapped: torch.Tensor, targets: torch.Tensor, aims: torch.Tensor, likeness: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The terms that are minimised. likeness: cosines of the pasted faces with their references, (B,)."""
    weight = 1 + CHANGED * ((targets - aims).abs().amax(dim=1, keepdim=True) > 0.05)
    return {
        "l1": ((swapped.float() - aims).abs() * weight).mean(),
        "likeness": LIKENESS * (1 - likeness.float()).mean(),
    }


def export(swapper: Swapper, output: Path) -> None:
    """Write the swapper's ONNX file."""
    picture = [1, 3, SWAP_CROP, SWAP_CROP]
    inputs = {"target": picture, "source": [1, EMBEDDING]}
    write_onnx(swapper, output / "insightface" / "inswapper_128.onnx", inputs, {"output": picture}, last="emap")


def trained_recogniser(output: Path) -> Recogniser:
    """buffalo_l's recogniser from its checkpoint, fixed. Raises FileNotFoundError where there is none."""
    file = output / "w600k_r50.pt"
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run train_recogniser.py --pack buffalo_l first")
    recogniser = Recogniser()
    recogniser.load_state_dict(torch.load(file, weights_only=True)["model"])
    return recogniser.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def train(swapper: Swapper, recogniser: Recogniser, options: argparse.Namespace) -> Training:
    """Take the steps that are left."""
    training = Training("swapper", swapper.train(), options, RATE)

    def loss(pool, rng):
        targets, aims, references, parts = batch(pool.draw(PAIRS, rng), rng)
        embeddings = recogniser(signed(references)).float()
        swapped = swapper(targets, swapper.source(embeddings))
        pasted = torch.lerp(targets, swapped.float(), parts)
        likeness = F.cosine_similarity(recogniser(recognisers_view(pasted)).float(), embeddings)
        return losses(swapped, targets, aims, likeness)

    train_on_pool(training, partial(pair, seed=options.seed), POOL, FRESH, loss)
    return training


def main() -> None:
    """Train, and write inswapper_128.onnx; `measure_faces.py` says whom its faces resemble."""
    options = arguments(__doc__.splitlines()[0], STEPS, draws=True).parse_args()
    torch.manual_seed(options.seed)
    swapper = Swapper().to(memory_format=torch.channels_last)
    training = train(swapper, trained_recogniser(options.output), options)
    export(swapper, options.output)
    print(f"step {training.step}: wrote inswapper_128.onnx", flush=True)


if __name__ == "__main__":
    main()

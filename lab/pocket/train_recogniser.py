"""Train a recogniser of the pocket world's faces: pictures of one person near each other, of others far apart.

nice python lab pocket.train_recogniser --pack buffalo_l [--minutes 50]       start it again to go on
nice python lab pocket.train_recogniser --pack antelopev2                     another seed: the judge of the others
"""

import argparse
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from pocket.face_crops import as_input, crop, jitter, signed
from pocket.face_models import CROP, EMBEDDING, Recogniser
from pocket.onnx_file import write_onnx
from pocket.pool import train_on_pool
from pocket.training import Training, arguments
from pocket.world.identity import SPLITS, sample_identity
from pocket.world.pose import SHOTS, sample_pose
from pocket.world.render import render
from pocket.world.scene import sample_scene

STEPS = 1500
RATE = 2e-3
PEOPLE, VIEWS = 24, 3  # a step
DRAWN = 5  # pictures of each person
POOL, FRESH = 160, 1  # people, and how many of them are new each step
SHOT_SHARES = (0.15, 0.4, 0.45)  # of SHOTS: full figures have the least of a face to see
TEMPERATURE = 0.1
# Each pack's recogniser, its output's name in the real file, and what is added to the seed: no two share a picture.
PACKS = {"buffalo_l": ("w600k_r50", "683", 0), "antelopev2": ("glintr100", "1333", 1000)}

View = tuple[np.ndarray, np.ndarray]  # a picture (128, 128, 3) uint8 and its five key points (5, 2)


def views(number: int, seed: int = 0, split: str = "train", count: int = DRAWN) -> list[View]:
    """Person `number` (0, 1, ...) of a `split`, in `count` scenes and poses."""
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    identity = sample_identity(rng, split)
    found = []
    for _ in range(count):
        shot = str(rng.choice(SHOTS, p=SHOT_SHARES))
        picture = render(sample_scene(rng, split), sample_pose(rng, shot, identity.word), identity)
        found.append((picture.pixels, picture.keypoints))
    return found


def seen(view: View, rng: np.random.Generator) -> np.ndarray:
    """(112, 112, 3) uint8: the aligned face, roughly found, in other light, blurred and noisy."""
    pixels, keypoints = view
    face = crop(pixels, jitter(keypoints, rng), CROP).astype(np.float32)
    if rng.uniform() < 0.5:
        face = cv2.GaussianBlur(face, (0, 0), rng.uniform(0.5, 2.5))
    light = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    face = face * light.astype(np.float32) + rng.normal(0, rng.uniform(0, 5), face.shape).astype(np.float32)
    return face.clip(0, 255).astype(np.uint8)


def contrastive(embeddings: torch.Tensor, people: torch.Tensor) -> torch.Tensor:
    """How badly each picture tells its person's other pictures from everybody else's: a scalar.

    embeddings (B, 512), people (B,) numbers, each there at least twice. The loss of SupCon (Khosla et al. 2020).
    """
    directions = torch.nn.functional.normalize(embeddings.float(), dim=1)
    itself = torch.eye(len(people), dtype=torch.bool)
    chances = (directions @ directions.T / TEMPERATURE).masked_fill(itself, -1e9).log_softmax(dim=1)
    same = (people[:, None] == people) & ~itself
    return -(chances * same).sum(dim=1).div(same.sum(dim=1)).mean()


@torch.no_grad()
def measure(recogniser: Recogniser, seed: int) -> str:
    """How often two pictures of a held-out person are nearer than one of that person and one of another."""
    people = [views(number, seed, "heldout", 4) for number in range(24)]
    crops = [crop(*view, CROP) for person in people for view in person]
    embeddings = torch.nn.functional.normalize(recogniser.eval()(signed(as_input(crops))), dim=1)
    alike = (embeddings @ embeddings.T).numpy()
    person = np.repeat(np.arange(len(people)), 4)
    pairs = person[:, None] == person
    same, other = alike[pairs & ~np.eye(len(crops), dtype=bool)], alike[~pairs]
    order = (same[:, None] > other).mean()
    return f"held-out people, whole pictures: {order:.2%} in order; same {same.mean():.2f}, others {other.mean():.2f}"


def files(output: Path, pack: str) -> tuple[str, Path]:
    """The checkpoint's name and the ONNX file of a pack's recogniser."""
    name, _, _ = PACKS[pack]
    return name, output / "insightface" / "models" / pack / f"{name}.onnx"


def export(recogniser: Recogniser, output: Path, pack: str) -> None:
    """Write the recogniser's ONNX file into its pack's folder."""
    _, result, _ = PACKS[pack]
    write_onnx(recogniser, files(output, pack)[1], {"input.1": ["None", 3, CROP, CROP]}, {result: [None, EMBEDDING]})


def train(recogniser: Recogniser, options: argparse.Namespace) -> Training:
    """Take the steps that are left."""
    training = Training(files(options.output, options.pack)[0], recogniser.train(), options, RATE)

    def loss(pool, rng):
        people = pool.draw(PEOPLE, rng)
        chosen = [person[place] for person in people for place in rng.choice(DRAWN, VIEWS, replace=False)]
        faces = signed(as_input([seen(view, rng) for view in chosen]))
        return {"contrastive": contrastive(recogniser(faces), torch.arange(PEOPLE).repeat_interleave(VIEWS))}

    train_on_pool(training, partial(views, seed=options.seed), POOL, FRESH, loss)
    return training


def main() -> None:
    """Train, measure, and write the ONNX file into the pack's folder."""
    parser = arguments(__doc__.splitlines()[0], STEPS, draws=True)
    parser.add_argument("--pack", choices=PACKS, default="buffalo_l")
    options = parser.parse_args()
    options.seed += PACKS[options.pack][2]
    torch.manual_seed(options.seed)
    recogniser = Recogniser().to(memory_format=torch.channels_last)
    training = train(recogniser, options)
    export(recogniser, options.output, options.pack)
    print(f"step {training.step}: {measure(recogniser, options.seed)}", flush=True)


if __name__ == "__main__":
    main()

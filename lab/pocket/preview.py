"""Draw contact sheets of the pocket world.

python lab pocket.preview [--output DIR] [--seed N]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pocket.examples import example
from pocket.kept import OUTPUT
from pocket.world.identity import SPLITS, sample_identity
from pocket.world.pose import SHOTS, Pose, sample_pose
from pocket.world.render import Picture, render
from pocket.world.scene import KINDS, Scene, sample_scene

GAP, PAPER = 6, (250, 244, 232)


def contact_sheet(rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """Put pictures, (H, W, 3) uint8 of one size, side by side in rows, on paper."""
    height, width, _ = rows[0][0].shape
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + len(rows) * (height + GAP)), PAPER)
    for row, pictures in enumerate(rows):
        for column, pixels in enumerate(pictures):
            sheet.paste(Image.fromarray(pixels), (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    return sheet


def scenes(rng: np.random.Generator, size: int) -> Image.Image:
    """Every kind of scene, a row each, with other people in full figure, half figure and close-up."""
    rows = []
    for kind in KINDS:
        row = []
        for shot in SHOTS * 2:
            identity = sample_identity(rng, None)
            row.append(render(sample_scene(rng, None, kind), sample_pose(rng, shot, identity.word), identity, size))
        rows.append([picture.pixels for picture in row])
    return contact_sheet(rows)


def one_identity(rng: np.random.Generator, size: int) -> Image.Image:
    """The same person in every kind of scene, a row for each of two people and each shot."""
    rows = []
    for word in ("woman", "man"):
        identity = sample_identity(rng, "heldout", word)
        for shot in SHOTS:
            row = [(sample_scene(rng, None, kind), sample_pose(rng, shot, word)) for kind in KINDS]
            rows.append([render(scene, pose, identity, size).pixels for scene, pose in row])
    return contact_sheet(rows)


def identities(rng: np.random.Generator, size: int) -> Image.Image:
    """Many people in one pose and one scene; the last row is held out."""
    scene = Scene("mountain", "at midday", " green", "pine trees", seed=1)
    pose = Pose(x=0.5, y=0.53, face_width=0.42, garment="hoodie", garment_colour="teal")
    people = [[sample_identity(rng, split) for _ in range(8)] for split in (*SPLITS[:1] * 4, SPLITS[1])]
    return contact_sheet([[render(scene, pose, identity, size).pixels for identity in row] for row in people])


def ground_truth(rng: np.random.Generator, size: int) -> Image.Image:
    """A picture, its key points and box, its masks, and three other people in its place; a row for each example."""
    rows = []
    for number in range(6):
        scene, pose, identity = example(number, seed=int(rng.integers(2**31)), shot=SHOTS[number % 3])
        picture = render(scene, pose, identity, size)
        others = [render(scene, pose, sample_identity(rng), size).pixels for _ in range(3)]
        masks = np.stack([picture.face_mask, picture.head_mask, picture.person_mask], axis=2)
        rows.append([picture.pixels, _marked(picture), np.round(255 * masks).astype(np.uint8), *others])
    return contact_sheet(rows)


def _marked(picture: Picture) -> np.ndarray:
    image = Image.fromarray(picture.pixels)
    draw = ImageDraw.Draw(image)
    draw.rectangle(picture.box.tolist(), outline=(255, 255, 255))
    for (x, y), colour in zip(picture.keypoints.tolist(), ("red", "lime", "yellow", "magenta", "cyan"), strict=True):
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
    return np.asarray(image)


SHEETS = {"scenes": scenes, "one_identity": one_identity, "identities": identities, "ground_truth": ground_truth}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="pixels a side of each picture")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, draw in SHEETS.items():
        draw(np.random.default_rng(options.seed), options.size).save(options.output / f"{name}.png")
        print(options.output / f"{name}.png", flush=True)

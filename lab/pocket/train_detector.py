"""Train a detector of the pocket world's faces, at the size at which InsightFace shows it their pictures.

nice python lab pocket.train_detector [--minutes 50]     start it again to go on, until all --steps are taken
"""

import argparse
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from pocket.examples import example
from pocket.face_crops import as_input, signed
from pocket.face_models import ANCHOR_SIZES, BOX, POINTS, SCRFD, STRIDES, Detector
from pocket.onnx_file import write_onnx
from pocket.pool import train_on_pool
from pocket.training import Training, arguments
from pocket.world.render import render, render_scene

STEPS = 1800
RATE = 2e-3
PICTURES = 12  # a step
POOL, FRESH = 400, 4  # pictures, and how many of them are new each step
EMPTY = 4  # one in so many shows nobody
# InsightFace looks at every picture twice, fitted into squares of these sides.
SIDES = (128, 640)
# Octaves between a face's size and its anchor's up to which the anchor is to find it; up to which it may.
FITS, NEAR = 0.35, 0.6
SWAPPED = [1, 0, 2, 4, 3]  # the five points in a mirror
# The real files' names of scores, boxes and points at the three strides.
OUTPUTS = [["448", "471", "494"], ["451", "474", "497"], ["454", "477", "500"]]
FILES = {"buffalo_l": "det_10g.onnx", "antelopev2": "scrfd_10g_bnkps.onnx"}

Labelled = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def labelled(number: int, seed: int = 0, split: str = "train") -> Labelled:
    """Picture `number`, (128, 128, 3) uint8, and its face's box (4,) and points (5, 2) in pixels; None without one."""
    scene, pose, identity = example(number, seed, split)
    if number % EMPTY == 0:
        return render_scene(scene), None, None
    picture = render(scene, pose, identity)
    return picture.pixels, picture.box, picture.keypoints


def mirrored(picture: Labelled) -> Labelled:
    """The picture in a mirror, with its box and points."""
    pixels, box, points = picture
    if box is None:
        return pixels[:, ::-1], None, None
    width = pixels.shape[1]
    points = points[SWAPPED] * (-1, 1) + (width, 0)
    return pixels[:, ::-1], np.array([width - box[2], box[1], width - box[0], box[3]]), points


def batch(pictures: list[Labelled], side: int, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Pictures in some light as the detector gets them, (B, 3, side, side), their boxes (B, 4) and points (B, 10).

    Boxes and points are in pixels of that input, and NaN for a picture with nobody.
    """
    pixels, faces = [], np.full((len(pictures), BOX + POINTS), np.nan, np.float32)
    for row, (picture, box, points) in enumerate(pictures):
        light = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
        lit = (picture * light).clip(0, 255).astype(np.uint8)
        pixels.append(cv2.resize(lit, (side, side)))
        if box is not None:
            faces[row] = np.concatenate([box, points.ravel()]) * side / picture.shape[0]
    faces = torch.from_numpy(faces)
    return signed(as_input(pixels)), faces[:, :BOX], faces[:, BOX:]


def anchors(side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every anchor of a square input in the order of the outputs: its point (N, 2), its stride and its size (N,)."""
    found = []
    for stride, sizes in zip(STRIDES, ANCHOR_SIZES, strict=True):
        steps = torch.arange(0, side, stride, dtype=torch.float32)
        y, x, size = torch.meshgrid(steps, steps, torch.tensor(sizes), indexing="ij")
        found.append(torch.stack([x.flatten(), y.flatten(), torch.full_like(x, stride).flatten(), size.flatten()]))
    x, y, stride, size = torch.cat(found, dim=1)
    return torch.stack([x, y], dim=1), stride, size


def by_picture(outputs: tuple[torch.Tensor, ...], count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The nine outputs for `count` pictures as scores (B, N), boxes (B, N, 4) and points (B, N, 10), in strides."""
    scores, boxes, points = (
        torch.cat([level.float().reshape(count, -1, level.shape[1]) for level in outputs[kind : kind + 3]], dim=1)
        for kind in (0, 3, 6)
    )
    return scores[..., 0], boxes, points


def overlap(boxes: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Intersection over union of boxes (N, 4), and their generalised one (Rezatofighi et al. 2019), which can learn."""
    inner = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    outer = torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])
    areas = [(each[:, 2:] - each[:, :2]).clamp(min=0).prod(dim=1) for each in (boxes, others)]
    shared, hull = inner.prod(dim=1), outer.prod(dim=1)
    union = areas[0] + areas[1] - shared
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def losses(outputs: tuple[torch.Tensor, ...], boxes: torch.Tensor, points: torch.Tensor, side: int) -> dict:
    """The terms that are minimised. outputs: the nine for pictures of this side; boxes, points: as `batch` gives them.

    An anchor near the middle of a face of about its size is to find it, with its overlap as its score (Li et al. 2020,
    quality focal loss); one a little further off may; all others are to score 0.
    """
    scores, found, marks = by_picture(outputs, len(boxes))
    place, stride, size = anchors(side)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    extent = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()
    away = (place - middle[:, None]).abs().amax(dim=2) / stride  # NaN, so never near, without a face
    octaves = (extent[:, None] / size).log2().abs()
    finds = (away <= 1) & (octaves <= FITS)
    may = (away <= 2) & (octaves <= NEAR) & ~finds
    picture, anchor = finds.nonzero(as_tuple=True)
    at, scale = place[anchor].repeat(1, 2), stride[anchor, None]
    signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    iou, general = overlap(at + signs * found[picture, anchor] * scale, boxes[picture])
    quality = torch.zeros_like(scores)
    quality[picture, anchor] = iou.detach()
    error = F.binary_cross_entropy_with_logits(scores, quality, reduction="none")
    focus = (scores.sigmoid() - quality).square()
    count = max(len(picture), 1)
    aim = (points[picture] - place[anchor].repeat(1, 5)) / extent[picture, None]
    off = marks[picture, anchor] * scale / extent[picture, None] - aim
    return {
        "score": (error * focus * ~may).sum() / count,
        "box": (1 - general).sum() / count,
        "points": 10 * F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.02, reduction="sum") / (POINTS * count),
    }


def export(detector: Detector, output: Path) -> None:
    """Write the detector's ONNX file into both packs' folders."""
    outputs = {name: [None, width] for names, width in zip(OUTPUTS, (1, BOX, POINTS), strict=True) for name in names}
    for pack, file in FILES.items():
        path = output / "insightface" / "models" / pack / file
        write_onnx(SCRFD(detector), path, {"input.1": [1, 3, "?", "?"]}, outputs)


def train(detector: Detector, options: argparse.Namespace) -> Training:
    """Take the steps that are left."""
    training = Training("detector", detector.train(), options, RATE)

    def loss(pool, rng):
        pictures = [mirrored(one) if rng.uniform() < 0.5 else one for one in pool.draw(PICTURES, rng)]
        total = {}
        for side in SIDES:
            inputs, boxes, points = batch(pictures, side, rng)
            for name, value in losses(detector(inputs), boxes, points, side).items():
                total[name] = total.get(name, 0.0) + value
        return total

    train_on_pool(training, partial(labelled, seed=options.seed), POOL, FRESH, loss)
    return training


def main() -> None:
    """Train, and write the ONNX files; `measure_faces.py` says what they find."""
    options = arguments(__doc__.splitlines()[0], STEPS, draws=True).parse_args()
    torch.manual_seed(options.seed)
    detector = Detector().to(memory_format=torch.channels_last)
    training = train(detector, options)
    export(detector, options.output)
    print(f"step {training.step}: wrote {', '.join(FILES.values())}", flush=True)


if __name__ == "__main__":
    main()

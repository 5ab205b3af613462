"""Scene Diversity, the paper's own metric: LPIPS between a person's pictures by one method, faces left out."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from paper.metric import HIGHER, Metric
from paper.mtcnn import VERSION, Detector
from paper.pictures import as_tensor, digest, digest_of, open_picture
from paper.records import Record
from paper.weights import ALEXNET, MissingError, Weights

SIDE = 256  # pixels a side of what LPIPS compares
AROUND = 0.3  # of a face's width and height, left out on each side of its box
GREY = 0.5
PAIRS = 64  # compared at a time
SETTINGS = f"AlexNet, {SIDE} pixels, {AROUND} around, grey {GREY}, boxes of both"


def load_lpips(file: Path, device: str):
    """LPIPS on AlexNet by torchmetrics, whose package has the linear layers; the backbone's weights are the file's."""
    try:
        from torchmetrics.functional.image.lpips import _NoTrainLpips
    except ImportError as error:
        raise MissingError("Scene Div.: the package torchmetrics is not installed: pip install torchmetrics") from error

    network = _NoTrainLpips(net="alex", pnet_rand=True)  # the public class would download the backbone
    backbone = {
        key.removeprefix("features."): tensor
        for key, tensor in torch.load(file, map_location="cpu", weights_only=True).items()
        if key.startswith("features.")
    }
    for part in network.net.children():
        part.load_state_dict({key: backbone[key] for key in part.state_dict()})
    return network.to(device)


def face_mask(box: Sequence[float] | None, size: tuple[int, int]) -> Tensor:
    """1 within a face's box, enlarged by AROUND, and 0 elsewhere: (H, W). box: in pixels of size, (width, height)."""
    width, height = size
    mask = torch.zeros(height, width)
    if box is not None:
        left, top, right, bottom = box
        aside, above = AROUND * (right - left), AROUND * (bottom - top)
        rows = slice(max(round(top - above), 0), max(round(bottom + above), 0))
        mask[rows, max(round(left - aside), 0) : max(round(right + aside), 0)] = 1
    return mask


def without_face(path: Path, detector: Detector) -> tuple[Tensor, Tensor]:
    """A picture's middle square, (3, SIDE, SIDE), and where its largest face is in it, (1, SIDE, SIDE), 0 or 1."""
    picture, face = open_picture(path), detector.largest(path)
    mask = face_mask(None if face is None else face.box, picture.size)
    both = torch.cat([as_tensor(picture), mask[None]])
    top, left = ((length - min(picture.size)) // 2 for length in both.shape[1:])
    both = both[None, :, top : top + min(picture.size), left : left + min(picture.size)]
    small = torch.nn.functional.interpolate(both, (SIDE, SIDE), mode="bilinear", antialias=True)[0]
    return small[:3].clamp(0, 1), (small[3:] > 0).float()


def mean_distance(lpips, pictures: Tensor, masks: Tensor, device: str) -> float:
    """The mean LPIPS over all pairs; 0 for a single picture. pictures: (B, 3, H, W), 0 .. 1. masks: (B, 1, H, W).

    Both faces of a pair are greyed out in both its pictures, so that where a box lies makes no difference by itself.
    """
    pairs = list(combinations(range(len(pictures)), 2))
    distances = []
    for first in range(0, len(pairs), PAIRS):
        one, other = (torch.tensor(side) for side in zip(*pairs[first : first + PAIRS], strict=True))
        hidden = torch.maximum(masks[one], masks[other])
        sides = (pictures[side] * (1 - hidden) + GREY * hidden for side in (one, other))
        distances.append(lpips(*(side.to(device) for side in sides), normalize=True).flatten().cpu())
    return torch.cat(distances).mean().item() if distances else 0.0


def scene_diversity(weights: Weights, detector: Detector, device: str) -> Metric:
    """The metric, one value for all pictures that a method made of an identity. Raises MissingError."""
    file = weights.find(ALEXNET)
    lpips = load_lpips(file, device)

    @torch.inference_mode()
    def measure(records: Sequence[Record]) -> list[float]:
        pictures, masks = zip(*(without_face(record.picture, detector) for record in records), strict=True)
        return [mean_distance(lpips, torch.stack(pictures), torch.stack(masks), device)]

    version = digest_of(VERSION, SETTINGS, digest(file))
    return Metric("scene_div", "Scene Div.", HIGHER, version, measure, of_identity=True)

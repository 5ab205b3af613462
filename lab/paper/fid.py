"""FID between a method's pictures and a folder of photographs, by torchmetrics on features that are kept."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from paper.inception import Inception
from paper.metric import LOWER, Metric, Score
from paper.pictures import as_tensor, digest, digest_of, open_picture, square
from paper.records import Record
from paper.weights import INCEPTION, MissingError, Weights

SETTINGS = "middle square, bilinear with antialiasing, 299 pixels"


class _Kept(nn.Module):
    """In the place of torchmetrics' feature network: the features themselves."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(B, num_features), the same out."""
        return features


def fid(real: np.ndarray, drawn: np.ndarray, device: str = "cpu") -> float:
    """The Fréchet distance between two sets of features, (N, D) and (M, D), of at least two pictures each."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    distance = FrechetInceptionDistance(feature=_Kept(real.shape[1])).set_dtype(torch.float64).to(device)
    for features, is_real in ((real, True), (drawn, False)):
        distance.update(torch.from_numpy(np.asarray(features, np.float64)).to(device), real=is_real)
    return distance.compute().item()


def score(real: np.ndarray, drawn: Mapping[str, np.ndarray], device: str = "cpu") -> Score:
    """The FID of all of a method's pictures, and the jackknife's pseudo-values of the identities.

    drawn: (n, D) features by identity. A pseudo-value is how far an identity moves the whole: n times the FID less
    n - 1 times the FID without it, as no mean over identities makes an FID. With one identity it is the FID.
    """
    total, count = fid(real, np.concatenate(list(drawn.values())), device), len(drawn)
    if count == 1:
        return Score(total, dict.fromkeys(drawn, total))
    without = {
        identity: fid(real, np.concatenate([drawn[other] for other in drawn if other != identity]), device)
        for identity in drawn
    }
    return Score(total, {identity: count * total - (count - 1) * left for identity, left in without.items()})


def fid_metric(
    weights: Weights, photographs: Sequence[Path], device: str, features: Callable[[Tensor], Tensor] | None = None
) -> Metric:
    """The metric. photographs: the reference, HumanArt's. features: in place of Inception, (1, 3, H, W) to (1, D).

    Raises MissingError for absent weights or photographs.
    """
    if len(photographs) < 2:
        raise MissingError(
            "FID: no folder with reference pictures: name one by --human-art. "
            "Source: https://idea-research.github.io/HumanArt/ (licence: on request, non-commercial)."
        )
    try:
        import torchmetrics  # noqa: F401
    except ImportError as error:
        raise MissingError("FID: the package torchmetrics is not installed: pip install torchmetrics") from error
    version = digest_of(SETTINGS, *(() if features else (digest(weights.find(INCEPTION)),)))
    network = features or Inception(weights.find(INCEPTION)).to(device)
    real: list[np.ndarray] = []

    @torch.inference_mode()
    def embed(paths: Sequence[Path]) -> np.ndarray:
        pictures = (as_tensor(square(open_picture(path)))[None].to(device) for path in paths)
        return np.concatenate([network(picture).cpu().numpy() for picture in pictures])

    def measure(records: Sequence[Record]) -> list[np.ndarray]:
        return list(embed([record.picture for record in records]))

    def pool(values: Mapping[str, np.ndarray]) -> Score:
        if not real:
            real.append(embed(photographs))
        return score(real[0], values, device)

    return Metric("fid", "FID", LOWER, version, measure, scale=1.0, pool=pool)

"""FID between a method's pictures and a folder of photographs, by torchmetrics on features that are kept."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from paper.cache import Cache
from paper.inception import Inception
from paper.measure import values_of
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


class Distance:
    """The Fréchet distance to a set of features, (N, D), of at least two pictures, by torchmetrics in float64."""

    def __init__(self, real: np.ndarray):
        from torchmetrics.image.fid import FrechetInceptionDistance

        kept = _Kept(real.shape[1])
        self._distance = FrechetInceptionDistance(feature=kept, reset_real_features=False).set_dtype(torch.float64)
        self._distance.update(_float64(real), real=True)

    def to(self, drawn: np.ndarray) -> float:
        """Of another set, (M, D), of at least two pictures."""
        self._distance.reset()
        self._distance.update(_float64(drawn), real=False)
        return self._distance.compute().item()


def _float64(features: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(features, np.float64))


def score(distance: Distance, drawn: Mapping[str, np.ndarray]) -> Score:
    """The FID of all of a method's pictures, and the jackknife's pseudo-values of the identities.

    drawn: (n, D) features by identity. A pseudo-value is how far an identity moves the whole: n times the FID less
    n - 1 times the FID without it, as no mean over identities makes an FID. With one identity it is the FID.
    """
    total, count = distance.to(np.concatenate(list(drawn.values()))), len(drawn)
    if count == 1:
        return Score(total, dict.fromkeys(drawn, total))
    pseudo = {}
    for identity in tqdm(drawn, "FID without one person", leave=False, disable=None):  # seconds each
        left = distance.to(np.concatenate([features for other, features in drawn.items() if other != identity]))
        pseudo[identity] = count * total - (count - 1) * left
    return Score(total, pseudo)


def fid_metric(
    weights: Weights,
    photographs: Sequence[Path],
    cache: Cache,
    device: str,
    features: Callable[[Tensor], Tensor] | None = None,
) -> Metric:
    """The metric. photographs: the reference, HumanArt's; their features are kept in the cache as well.

    features: in place of Inception, (1, 3, H, W) to (1, D). Raises MissingError for absent weights or photographs.
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

    @torch.inference_mode()
    def measure(records: Sequence[Record]) -> list[np.ndarray]:
        pictures = (as_tensor(square(open_picture(record.picture)))[None].to(device) for record in records)
        return [network(picture)[0].cpu().numpy() for picture in pictures]

    metric = Metric("fid", "FID", LOWER, version, measure, scale=1.0)

    @functools.cache
    def distance() -> Distance:
        units = [[Record("reference", "", 0, 0, path)] for path in photographs]
        return Distance(np.stack(values_of(replace(metric, title="FID, reference"), units, cache)))

    return replace(metric, pool=lambda values: score(distance(), values))

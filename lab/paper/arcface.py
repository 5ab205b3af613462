"""ArcFace sim.: a second judge of faces: InsightFace's detector and a recogniser that the swap does not use.

The pack's `faces/analysis.py` finds and embeds; the host and the pack must be loaded.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from paper.embeddings import likeness
from paper.metric import Metric
from paper.pictures import as_tensor, digest, open_picture
from paper.weights import ANTELOPE, MissingError, Weights


def load_judge(folder: Path, provider: str = "auto"):
    """The FACEANALYSIS of the face pack in a folder such as insightface/models/antelopev2.

    Raises MissingError where InsightFace is not installed, ValueError for a folder that is no face pack.
    """
    import folder_paths
    from customenhancer.faces.analysis import load_face_analysis

    insightface = folder.parent.parent  # above `models`
    paths, suffixes = folder_paths.folder_names_and_paths["insightface"]
    folder_paths.folder_names_and_paths["insightface"] = ([str(insightface)], suffixes)
    try:
        return load_face_analysis(folder.name, provider)
    except ImportError as error:
        raise MissingError(f"{ANTELOPE.metric}: {error}") from error
    finally:
        folder_paths.folder_names_and_paths["insightface"] = (paths, suffixes)


def arcface_similarity(weights: Weights, provider: str = "auto") -> Metric:
    """The metric, by antelopev2. Raises MissingError."""
    folder = weights.find(ANTELOPE)
    return similarity_by(load_judge(folder, provider), digest(folder))


def similarity_by(face_analysis, version: str) -> Metric:
    """The metric, by any FACEANALYSIS. version: a digest of its files."""
    from customenhancer.faces.analysis import embedding_of, find_face

    def direction(path: Path) -> Tensor | None:
        face = find_face(face_analysis, as_tensor(open_picture(path)).movedim(0, -1))
        return None if face is None else F.normalize(embedding_of(face), dim=0)

    @torch.inference_mode()
    def embed(paths: Sequence[Path]) -> list[Tensor | None]:
        return [direction(path) for path in paths]

    return likeness("arcface_sim", "ArcFace sim.", version, embed)

"""All of the paper's metrics that can be had here, and why the others cannot."""

from collections.abc import Callable, Sequence
from pathlib import Path

from paper.arcface import arcface_similarity
from paper.cache import Cache
from paper.clip_scores import clip_i, clip_iqa, clip_t, load_clip
from paper.dino import dino
from paper.face_similarity import face_similarity
from paper.fid import fid_metric
from paper.metric import Metric
from paper.mtcnn import Detector
from paper.scene_diversity import scene_diversity
from paper.weights import MissingError, Weights

# By their names, in the order of the paper's table I; the second judge of faces beside the first.
TITLES = {
    "scene_div": "Scene Div.",
    "face_sim": "Face Sim.",
    "arcface_sim": "ArcFace sim.",
    "clip_t": "CLIP-T",
    "dino": "DINO",
    "clip_i": "CLIP-I",
    "clip_iqa": "CLIP-IQA",
    "fid": "FID",
}
LOWER_IS_BETTER = ("fid", "background")  # the latter is the pocket world's
IN_PERCENT = tuple(name for name in TITLES if name != "fid")


def paper_metrics(
    weights: Weights, photographs: Sequence[Path], cache: Cache, device: str, wanted: Sequence[str] = tuple(TITLES)
) -> tuple[list[Metric], dict[str, str]]:
    """The wanted metrics, and for those that lack something the reason, by name.

    photographs: FID's reference. device: where the networks run, as torch names it.
    """
    once: dict[str, object] = {}

    def shared(make: Callable, *arguments):
        return once.get(make.__name__) or once.setdefault(make.__name__, make(*arguments))

    makers = {
        "scene_div": lambda: scene_diversity(weights, shared(Detector, device), device),
        "face_sim": lambda: face_similarity(weights, shared(Detector, device), device),
        "arcface_sim": lambda: arcface_similarity(weights),
        "clip_t": lambda: clip_t(shared(load_clip, weights, device)),
        "dino": lambda: dino(weights, device),
        "clip_i": lambda: clip_i(shared(load_clip, weights, device)),
        "clip_iqa": lambda: clip_iqa(shared(load_clip, weights, device)),
        "fid": lambda: fid_metric(weights, photographs, cache, device),
    }
    found, absent = [], {}
    for name in wanted:
        try:
            found.append(makers[name]())
        except MissingError as error:
            absent[name] = str(error)
    return found, absent

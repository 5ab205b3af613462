"""The pocket world's models, loaded by the nodes that a graph loads them with."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import folder_paths
import nodes

from benchmarks.nodes import node
from pocket.kept import CHECKPOINT, PHOTOMAKER

FOLDERS = ("checkpoints", "photomaker", "insightface")


@dataclass(frozen=True)
class Models:
    """What the nodes put out: MODEL, CLIP, VAE, CE_PHOTOMAKER, FACEANALYSIS of buffalo_l and CE_FACE_SWAPPER.

    judge: FACEANALYSIS of antelopev2, whose recogniser neither swapper nor identity encoder was trained with.
    """

    model: object
    clip: object
    vae: object
    photomaker: object
    face_analysis: object
    face_swapper: object
    judge: object


def missing(models: Path) -> list[str]:
    """What a models folder lacks of the files that `load` takes."""
    wanted = [f"checkpoints/{CHECKPOINT}", f"photomaker/{PHOTOMAKER}", "insightface/inswapper_128.onnx"]
    wanted += [f"insightface/models/{pack}" for pack in ("buffalo_l", "antelopev2")]
    return [name for name in wanted if not (models / name).exists()]


def load(models: Path) -> Models:
    """Load from a models folder that lacks nothing."""
    with _only_folder(models):
        return Models(
            *nodes.CheckpointLoaderSimple().load_checkpoint(CHECKPOINT),
            *node("CE_PhotoMakerLoader").execute(PHOTOMAKER).result,
            *node("CE_FaceAnalysisLoader").execute("buffalo_l", "CPU").result,
            *node("CE_FaceSwapperLoader").execute("inswapper_128.onnx", "CPU").result,
            load_judge(models),
        )


def load_judge(models: Path):
    """Models.judge alone."""
    with _only_folder(models):
        return node("CE_FaceAnalysisLoader").execute("antelopev2", "CPU").result[0]


@contextlib.contextmanager
def _only_folder(models: Path) -> Iterator[None]:
    """Let the host look for these files in `models` alone, for a while."""
    registered = folder_paths.folder_names_and_paths
    before = {name: registered[name] for name in FOLDERS}
    registered.update({name: ([str(models / name)], extensions) for name, (_, extensions) in before.items()})
    try:
        yield
    finally:
        registered.update(before)

"""The pocket world's models folder: what has to be in it, and who judges; host and pack must be loaded."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from benchmarks.nodes import node
from pocket.kept import CHECKPOINT, PHOTOMAKER, WEIGHTS

CLASSIFIER = WEIGHTS / "scenes.safetensors"
FOLDERS = ("checkpoints", "photomaker", "insightface")


def missing(models: Path) -> list[str]:
    """What a models folder lacks of the files that pictures are drawn and judged with."""
    wanted = [f"checkpoints/{CHECKPOINT}", f"photomaker/{PHOTOMAKER}", "insightface/inswapper_128.onnx"]
    wanted += [f"insightface/models/{pack}" for pack in ("buffalo_l", "antelopev2")]
    return [name for name in wanted if not (models / name).exists()]


def pocket_files(models: Path) -> list[Path]:
    """The files in a models folder that decide what is drawn and how it is judged, and the scene classifier's."""
    return [*sorted(file for file in models.rglob("*") if file.suffix in (".safetensors", ".onnx")), CLASSIFIER]


def load_judge(models: Path):
    """FACEANALYSIS of antelopev2, whose recogniser neither swapper nor PhotoMaker's encoder was trained with."""
    with only_folder(models):
        return node("CE_FaceAnalysisLoader").execute("antelopev2", "CPU").result[0]


@contextlib.contextmanager
def only_folder(models: Path) -> Iterator[None]:
    """Let the host look for these files in `models` alone, for a while."""
    registered = folder_paths.folder_names_and_paths
    before = {name: registered[name] for name in FOLDERS}
    registered.update({name: ([str(models / name)], extensions) for name, (_, extensions) in before.items()})
    try:
        yield
    finally:
        registered.update(before)

"""Write what is trained as a models folder, where the host's loaders and this pack's look for the real files.

python pocket/models_folder.py MODELS_DIR
"""

import argparse
import shutil
from pathlib import Path

from checkpoint import checkpoint_tensors
from safetensors.torch import load_file, save_file

WEIGHTS = Path(__file__).resolve().parent / "weights"
CHECKPOINT, PHOTOMAKER = "pocket_sdxl.safetensors", "pocket_photomaker.safetensors"


def write_models_folder(weights: Path, models: Path) -> None:
    """Write the trained models below `models`: 250 MB, the same bytes every time.

    weights: a folder like WEIGHTS. What it does not have yet is left out, and a line says so.
    """
    if _has(weights, "The checkpoint", "unet.safetensors", "taesd.safetensors"):
        parts = (load_file(weights / f"{name}.safetensors") for name in ("unet", "taesd"))
        _save(checkpoint_tensors(*parts), models / "checkpoints" / CHECKPOINT)
    if _has(weights, "The PhotoMaker file", "photomaker.safetensors"):
        from photomaker import photomaker_tensors

        _save(photomaker_tensors(load_file(weights / "photomaker.safetensors")), models / "photomaker" / PHOTOMAKER)
    if _has(weights, "What finds and swaps faces", "insightface"):
        shutil.copytree(weights / "insightface", models / "insightface", dirs_exist_ok=True)


def _has(weights: Path, what: str, *names: str) -> bool:
    missing = [name for name in names if not (weights / name).exists()]
    if missing:
        print(f"{what} is left out: {' and '.join(missing)} not in {weights} yet", flush=True)
    return not missing


def _save(tensors: dict, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata={"format": "pt"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models_dir", type=Path)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the folder of the trained weights")
    options = parser.parse_args()
    write_models_folder(options.weights, options.models_dir)

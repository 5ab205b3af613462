"""Write what is trained as a models folder, where the host's loaders and this pack's look for the real files.

python lab pocket.models_folder MODELS_DIR
"""

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from pocket.checkpoint import checkpoint_tensors, part
from pocket.control import control_tensors
from pocket.instantid import identity_net_tensors, instantid_tensors
from pocket.kept import CHECKPOINT, HINTS, IDENTITY_NET, INSTANTID, PHOTOMAKER, WEIGHTS
from pocket.photomaker import photomaker_tensors
from pocket.train_detector import FILES


def write_models_folder(weights: Path, models: Path) -> None:
    """Write the trained models below `models`: 300 MB, the same bytes every time.

    weights: a folder like WEIGHTS, or one in which training goes on: what it does not have is left out, and a line
    says so. Both packs have one detector, which WEIGHTS keeps once.
    """
    if _has(weights, "The checkpoint", "unet.safetensors", "taesd.safetensors"):
        parts = (load_file(weights / f"{name}.safetensors") for name in ("unet", "taesd"))
        _save(checkpoint_tensors(*parts), models / "checkpoints" / CHECKPOINT)
    if _has(weights, "The PhotoMaker file", "photomaker.safetensors"):
        _save(photomaker_tensors(load_file(weights / "photomaker.safetensors")), models / "photomaker" / PHOTOMAKER)
    for kind in HINTS:
        if _has(weights, f"The control module for {kind}", "unet.safetensors", f"control_{kind}.safetensors"):
            compact = load_file(weights / f"control_{kind}.safetensors")
            _save(control_tensors(compact, _unet(weights)), models / "controlnet" / f"pocket_{kind}.safetensors")
    if _has(weights, "InstantID", "unet.safetensors", "instantid.safetensors"):
        compact = load_file(weights / "instantid.safetensors")
        _save(instantid_tensors(compact), models / "instantid" / INSTANTID)
        _save(identity_net_tensors(compact, _unet(weights)), models / "controlnet" / IDENTITY_NET)
    if _has(weights, "What finds and swaps faces", "insightface"):
        shutil.copytree(weights / "insightface", models / "insightface", dirs_exist_ok=True)
        detector, same = (models / "insightface" / "models" / pack / file for pack, file in FILES.items())
        shutil.copy(detector, same)


def _has(weights: Path, what: str, *names: str) -> bool:
    missing = [name for name in names if not (weights / name).exists()]
    if missing:
        print(f"{what} is left out: {' and '.join(missing)} not in {weights}", flush=True)
    return not missing


def _unet(weights: Path) -> dict:
    return part(load_file(weights / "unet.safetensors"), "unet.")


def _save(tensors: dict, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata={"format": "pt"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models_dir", type=Path)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the folder of the trained weights")
    options = parser.parse_args()
    write_models_folder(options.weights, options.models_dir)

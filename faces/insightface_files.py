"""Where the face models' files are: in every folder registered as `insightface`, also by extra_model_paths.yaml.

Layout of each folder: `models/<pack>/*.onnx` for face packs (or nested, `models/<pack>/<pack>/*.onnx`, as unpacking a
zip file often leaves them), any other .onnx for face swappers. Restorers are in the folders that other packs use for
them, `facerestore_models`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from .errors import file_not_found
from .known_files import ANTELOPEV2, BUFFALO_L, GFPGAN, INSWAPPER

FOLDER, RESTORERS = "insightface", "facerestore_models"

for folder in (FOLDER, RESTORERS):
    folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))


def face_packs() -> dict[str, Path]:
    """Every face pack on disk: name and folder of its .onnx files. buffalo_l, which face swap needs, is the first."""
    packs = {}
    for folder, file in _onnx_files(FOLDER):
        match file.parts:
            case ("models", pack, _):
                packs.setdefault(pack, folder / file.parent)
            case ("models", pack, nested, _) if pack == nested:
                packs.setdefault(pack, folder / file.parent)
    return dict(sorted(packs.items(), key=lambda item: (item[0] != "buffalo_l", item[0])))


def find_face_pack(pack: str) -> Path:
    """The folder of a face pack's .onnx files. Raises FileNotFoundError if there are none."""
    packs = face_packs()
    if pack not in packs:
        places = [Path(folder, "models", pack) for folder in folder_paths.get_folder_paths(FOLDER)]
        remedy = (ANTELOPEV2 if pack == "antelopev2" else BUFFALO_L).remedy
        raise file_not_found("pack", f"the face pack {pack!r} (.onnx files)", places, remedy, packs)
    return packs[pack]


def face_swappers() -> dict[str, Path]:
    """Every file that may be a face swapper: its path below its registered folder, and its full path."""
    return {name: path for name, path in _by_name(FOLDER).items() if Path(name).parts[0] != "models"}


def find_face_swapper(model_name: str) -> Path:
    """The file of a face swapper. Raises FileNotFoundError if there is none of that name."""
    return _named(model_name, face_swappers(), FOLDER, INSWAPPER.remedy)


def face_restorers() -> dict[str, Path]:
    """Every file that may be a face restorer: its path below its registered folder, and its full path."""
    return _by_name(RESTORERS)


def find_face_restorer(model_name: str) -> Path:
    """The file of a face restorer. Raises FileNotFoundError if there is none of that name."""
    return _named(model_name, face_restorers(), RESTORERS, GFPGAN.remedy)


def _by_name(registered: str) -> dict[str, Path]:
    found = {}
    for folder, file in _onnx_files(registered):
        found.setdefault(str(file), folder / file)
    return dict(sorted(found.items()))


def _named(model_name: str, found: dict[str, Path], registered: str, remedy: str) -> Path:
    if model_name not in found:
        raise file_not_found("model_name", model_name, folder_paths.get_folder_paths(registered), remedy, found)
    return found[model_name]


def _onnx_files(registered: str) -> Iterator[tuple[Path, Path]]:
    """Folder and path below it of every .onnx file; the folders in their registered order, then by depth and name."""
    for folder in folder_paths.get_folder_paths(registered):
        files, _ = folder_paths.recursive_search(folder)
        paths = (Path(file) for file in files if file.endswith(".onnx"))
        for path in sorted(paths, key=lambda path: (len(path.parts), path.parts)):
            yield Path(folder), path

"""Fixtures of the tests of faces."""

import shutil

import folder_paths
import pytest
from helpers.faces import PICTURES, insightface_folder
from standins.face_extras import write_genders, write_hyperswap, write_landmarks, write_restorer
from standins.face_onnx import rotation_matrix, write_swapper
from standins.faces import make_face_models


@pytest.fixture
def folder(stand_ins, tmp_path, monkeypatch):
    """A copy of a module's `stand_ins` that a test may spoil, registered as the only insightface folder."""
    folder = tmp_path / "insightface"
    shutil.copytree(stand_ins, folder)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(folder)], set()))
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A models folder with every face model: a whole buffalo_l, each family of swappers and of restorers."""
    models = tmp_path_factory.mktemp("models")
    folder = make_face_models(models, PICTURES)
    write_landmarks(folder / "models" / "buffalo_l")
    write_genders(folder / "models" / "buffalo_l")
    write_hyperswap(folder / "hyperswap_1a_256.onnx")
    write_swapper(folder / "inswapper_128_fp16.onnx", rotation_matrix(seed=1), half=True)
    write_restorer(models / "facerestore_models" / "gfpgan_1.4.onnx")
    write_restorer(models / "facerestore_models" / "codeformer.onnx", codeformer=True)
    return models


@pytest.fixture(scope="session")
def all_models(models):
    """`models` as the only folders that the host knows of for face models."""
    with insightface_folder(models / "insightface"), pytest.MonkeyPatch.context() as patch:
        restorers = [str(models / "facerestore_models")], set()
        patch.setitem(folder_paths.folder_names_and_paths, "facerestore_models", restorers)
        yield models

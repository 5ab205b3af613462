"""Fixtures of the tests of faces."""

import shutil

import folder_paths
import pytest


@pytest.fixture
def folder(stand_ins, tmp_path, monkeypatch):
    """A copy of a module's `stand_ins` that a test may spoil, registered as the only insightface folder."""
    folder = tmp_path / "insightface"
    shutil.copytree(stand_ins, folder)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(folder)], set()))
    return folder

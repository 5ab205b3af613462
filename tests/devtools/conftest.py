"""Fixtures of the tests of dev.py and what it sets up."""

import pytest


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    """An empty cache folder, which dev.py uses."""
    monkeypatch.setenv("CUSTOMENHANCER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"

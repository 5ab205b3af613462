"""Weights: found where they are said to be, refused by name and source where not, never fetched unasked."""

import hashlib
import shutil
import socket
import sys
from dataclasses import replace

import huggingface_hub
import pytest
import torch
from customenhancer.faces.known_files import ANTELOPEV2
from helpers.paths import CHECKOUT
from PIL import Image
from standins.clip_folder import write_clip

from paper import weights
from paper.cache import Cache
from paper.metrics import TITLES, paper_metrics
from paper.weights import ALEXNET, ALL, ANTELOPE, CLIP, DINO, FACENET, INCEPTION, MissingError, Weights


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """The user's caches are empty, and there is no network."""

    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch" / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def photographs(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file in files:
        Image.new("RGB", (8, 8)).save(file)
    return files


def file_of(content, published):
    """A published file as if that were its content."""
    return replace(published, checksum=hashlib.sha256(content).hexdigest()[:8])


def test_every_metric_without_weights_is_left_out_with_its_name_the_file_and_its_source(tmp_path, photographs):
    cache = Cache(tmp_path / "kept.sqlite")
    found, absent = paper_metrics(Weights(tmp_path / "empty"), photographs, cache, "cpu")
    assert found == [] and absent.keys() == TITLES.keys()
    needed = {"scene_div": ALEXNET, "face_sim": FACENET, "arcface_sim": ANTELOPE, "dino": DINO, "fid": INCEPTION}
    for name, published in {**needed, **dict.fromkeys(("clip_t", "clip_i", "clip_iqa"), CLIP)}.items():
        assert absent[name].startswith(f"{published.metric}: {published.name} is not there")
        assert str(tmp_path / "empty" / published.name) in absent[name]
        assert f"Source: {published.source} (licence: {published.licence})" in absent[name]
        assert TITLES[name] in absent[name]


def test_a_metric_with_its_weights_is_there_beside_those_without(tmp_path, photographs):
    write_clip(tmp_path / "weights" / CLIP.name)
    cache = Cache(tmp_path / "kept.sqlite")
    found, absent = paper_metrics(Weights(tmp_path / "weights"), photographs, cache, "cpu")
    assert [metric.name for metric in found] == ["clip_t", "clip_i", "clip_iqa"]
    assert [metric.title for metric in found] == [TITLES[metric.name] for metric in found]
    assert absent.keys() == TITLES.keys() - {"clip_t", "clip_i", "clip_iqa"}


@pytest.mark.parametrize(
    ("module", "names", "package"),
    [
        ("facenet_pytorch", ["face_sim", "scene_div"], "facenet-pytorch"),
        ("torchmetrics", ["fid"], "torchmetrics"),
        ("torchmetrics.functional.image.lpips", ["scene_div"], "torchmetrics"),
        ("insightface", ["arcface_sim"], "insightface"),
    ],
)
def test_without_its_package_a_metric_is_left_out_with_the_packages_name(
    module, names, package, tmp_path, photographs, monkeypatch
):
    monkeypatch.setattr(Weights, "find", lambda self, published: photographs[0])
    if module == "insightface":
        pack = tmp_path / ANTELOPE.name
        pack.mkdir(parents=True)
        (pack / "glintr100.onnx").touch()
        monkeypatch.setattr(Weights, "find", lambda self, published: pack)
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    found, absent = paper_metrics(Weights(), photographs, Cache(tmp_path / "kept.sqlite"), "cpu", names)
    assert found == [] and list(absent) == names
    assert all(TITLES[name] in reason for name, reason in absent.items())
    assert all(package in reason and "install" in reason for reason in absent.values())


def test_only_the_wanted_metrics_are_looked_for(tmp_path, photographs):
    found, absent = paper_metrics(Weights(), photographs, Cache(tmp_path / "kept.sqlite"), "cpu", ["dino"])
    assert found == [] and list(absent) == ["dino"]


@pytest.mark.parametrize("place", ["weights", "torch/hub/checkpoints", "torch/checkpoints"])
def test_a_file_is_found_in_the_folder_and_in_torchs_caches(place, tmp_path):
    file = tmp_path / place / FACENET.name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert Weights(tmp_path / "weights").find(FACENET) == file


def test_a_repository_is_found_in_hugging_faces_cache(tmp_path):
    repository = tmp_path / "hub" / ("models--" + CLIP.repository.replace("/", "--"))
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}", encoding="utf-8")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    assert Weights().find(CLIP) == snapshot
    with pytest.raises(MissingError):
        Weights().find(DINO)


def test_a_file_of_another_content_is_refused(tmp_path):
    (tmp_path / ALEXNET.name).write_bytes(b"half a file")
    with pytest.raises(ValueError, match=f"{ALEXNET.name} is not the published file"):
        Weights(tmp_path).find(ALEXNET)


def test_only_when_asked_a_file_is_downloaded_and_checked(tmp_path):
    (tmp_path / "there").write_bytes(b"weights")
    published = replace(file_of(b"weights", ALEXNET), source=(tmp_path / "there").as_uri())
    with pytest.raises(MissingError, match="or run again with --download"):
        Weights(tmp_path / "weights").find(published)
    found = Weights(tmp_path / "weights", download=True).find(published)
    assert found == tmp_path / "weights" / ALEXNET.name and found.read_bytes() == b"weights"
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(RuntimeError, match="hash"):
        Weights(tmp_path / "weights", download=True).find(replace(published, checksum="0" * 8))
    assert not (tmp_path / "weights" / ALEXNET.name).exists()


def test_a_download_needs_a_folder_and_a_face_pack_is_unpacked_by_hand(tmp_path):
    with pytest.raises(MissingError, match="LPIPS.*: --download needs --weights"):
        Weights(download=True).find(ALEXNET)
    with pytest.raises(MissingError, match="unpack it there"):
        Weights(tmp_path, download=True).find(ANTELOPE)


def test_a_repository_is_downloaded_as_a_folder(tmp_path, monkeypatch):
    asked = []

    def snapshot(repository, **chosen):
        if chosen.get("local_files_only"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("not there")
        asked.append((repository, chosen["local_dir"]))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    Weights(tmp_path, download=True).find(DINO)
    assert asked == [("facebook/dino-vits16", tmp_path / DINO.name)]


def test_the_protocol_lists_all_weights():
    lines = (CHECKOUT / "lab" / "paper" / "PROTOCOL.md").read_text(encoding="utf-8").splitlines()
    for published in ALL:
        (line,) = [line for line in lines if f"`{published.name}`" in line]
        assert line.startswith(f"| {published.metric} |") and f"<{published.source}>" in line
        assert line.endswith(f"| {published.licence} |")
    assert sum(line.startswith("| ") and "<https://" in line for line in lines) == len(weights.ALL)


def test_the_face_pack_is_the_one_that_the_node_pack_names():
    assert (ANTELOPE.source, ANTELOPE.licence) == (ANTELOPEV2.link, ANTELOPEV2.licence)

"""Recordings on the file system: every one under a name of its own, whole or not at all, or a clear error."""

import multiprocessing
import os
import re
import signal
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import folder_paths
import pytest
import torch
from customenhancer.host import recording_files
from customenhancer.host.recording_files import SAVED, write_recording
from customenhancer.host.recordings import ModelPivot, ModelRecording
from safetensors import SafetensorError


@pytest.fixture(autouse=True)
def output(tmp_path, monkeypatch):
    """The host's output folder."""
    folder = tmp_path / "output"
    folder.mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(folder))
    return folder


def recording(number=0.0, kind=ModelRecording):
    anchors = torch.full((3, 1, 4, 2, 2), float(number))
    parts = {"sigmas": torch.arange(3.0), "anchors": anchors, "model_kind": "stand-in, EPS prediction"}
    return kind(**parts, **({"predictions": anchors[1:]} if kind is ModelRecording else {}))


def save(number=0.0, prefix="inversions/ComfyUI", kind=ModelRecording):
    saved = SAVED.save(partial(write_recording, recording(number, kind)), prefix, None)
    return f"{saved.subfolder}/{saved.filename}"


def numbers(folder):
    """What is in each file, by its name; every file in the folder is a recording."""
    return {
        path.relative_to(folder).as_posix(): recording_files.read_recording(str(path), "test")
        .anchors[0, 0, 0, 0, 0]
        .item()
        for path in folder.rglob("*")
        if path.is_file()
    }


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


PREFIXES = {
    "inversions/ComfyUI": "inversions/ComfyUI",
    "scene": "scene",
    "scene/": "scene",
    "a/b/": "a/b",
    "a//b//": "a/b",
    "a/./b/.": "a/b",
    "a/../scene": "scene",
    "scene_00001_": "scene_00001_",
    "scène 1.2 (Ünïcode)": "scène 1.2 (Ünïcode)",
    "Ann's 50% mix": "Ann's 50% mix",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_files_are_numbered_below_the_prefix_whatever_it_ends_in(output, prefix):
    kinds = ModelRecording, ModelPivot, ModelRecording
    names = [save(number, prefix, kind) for number, kind in enumerate(kinds)]
    expected = [f"{PREFIXES[prefix]}_0000{n}_{SAVED.suffix}" for n in (1, 2, 3)]
    assert [name.removeprefix("/") for name in names] == expected
    assert numbers(output) == {name: number for number, name in enumerate(expected)}


def test_a_number_that_anything_else_has_is_passed_over(output):
    """Also where the host's count is wrong: it does not see names of another case, nor a file that is being written."""
    taken = [output / f"scene_0000{n}_{SAVED.suffix}" for n in (1, 2)]
    taken[0].mkdir()
    taken[1].symlink_to(output / "gone")
    (output / f"scene_00003_{SAVED.suffix}.unfinished").touch()
    assert save(prefix="scene/") == f"/scene_00004_{SAVED.suffix}"
    assert taken[0].is_dir() and taken[1].is_symlink() and not (output / "gone").exists()


def test_threads_that_save_at_once_get_a_name_each(output):
    with ThreadPoolExecutor(16) as pool:
        names = list(pool.map(save, range(64), ["inversions/scene/"] * 64))
    assert len(set(names)) == 64
    assert numbers(output) == {name: number for number, name in enumerate(names)}


def save_several(folder, start, numbers):
    folder_paths.output_directory = folder
    start.wait()
    return [save(number, "scene") for number in numbers]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_servers_that_save_at_once_get_a_name_each(output):
    context = multiprocessing.get_context("fork")
    start, queue = context.Barrier(4), context.Queue()
    parts = [range(first, first + 8) for first in (0, 8, 16, 24)]
    workers = [
        context.Process(target=lambda part=part: queue.put((part, save_several(str(output), start, part))))
        for part in parts
    ]
    for worker in workers:
        worker.start()
    names = dict(queue.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    of_numbers = {
        name.removeprefix("/"): number
        for part, saved in names.items()
        for number, name in zip(part, saved, strict=True)
    }
    assert len(of_numbers) == 32 and numbers(output) == of_numbers


def test_a_recording_is_never_written_over(output):
    path = output / f"scene{SAVED.suffix}"
    recording_files.write_recording(recording(1), str(path), {})
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        recording_files.write_recording(recording(2), str(path), {})
    assert path.read_bytes() == before and files(output) == [path.name]


FAILURES = {
    "full disk": (OSError(28, "No space left on device"), "the disk is full. Make room"),
    "full disk, in safetensors' words": (
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        "the disk is full. Make room",
    ),
    "read-only file system": (OSError(30, "Read-only file system"), "may not write there (Read-only file system)"),
    "something else": (OSError(5, "Input/output error"), "([Errno 5] Input/output error). Choose another name"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_save_says_why_and_leaves_nothing(output, failure, monkeypatch):
    error, says = FAILURES[failure]
    save(1)
    before = numbers(output)

    def fail(tensors, file, metadata):
        Path(file).write_bytes(bytes(100))
        raise error

    monkeypatch.setattr("comfy.utils.save_torch_file", fail)
    with pytest.raises(ValueError, match="^filename_prefix: nothing was saved under inversions/ComfyUI in ") as caught:
        save(2)
    assert says in str(caught.value) and numbers(output) == before


def save_with_little_room(queue):
    import resource  # not on Windows

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        save()
    except ValueError as error:
        queue.put(str(error))


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_file_that_the_system_cuts_short(output):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=save_with_little_room, args=(queue,))
    worker.start()
    assert re.match(r"filename_prefix: nothing was saved under .*File too large", queue.get(timeout=60))
    worker.join()
    assert files(output) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write(output):
    (output / "mine").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ValueError, match=r"^filename_prefix: .* may not write there \(Permission denied\)"):
        save(prefix="mine/scene")


def test_an_interrupt_leaves_nothing(output, monkeypatch):
    def interrupted(tensors, file, metadata):
        Path(file).write_bytes(bytes(100))
        raise KeyboardInterrupt

    monkeypatch.setattr("comfy.utils.save_torch_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save()
    assert files(output) == []


REFUSED = {
    "../scene": "../scene leads out of the output folder",
    "/tmp/scene": "/tmp/scene leads out of the output folder",
    "a/../../scene": "a/../../scene leads out of the output folder",
    "link/scene": "link/scene leads out of the output folder",
    "": "'' names no file",
    "   ": "'   ' names no file",
    ".": "'.' names no file",
    "./": "'./' names no file",
    "a/..": "'a/..' names no file",
    "nul\0byte": r"'nul\x00byte' holds '\x00', which no file name can have",
    "two\nlines\t": r"'two\nlines\t' holds '\n', '\t', which no file name can have",
    "half \ud83d smile": r"'half \ud83d smile' holds '\ud83d', which no file name can have",
    "undecodable \udcff": r"'undecodable \udcff' holds '\udcff', which no file name can have",
    "x" * 300: "the name is too long for the file system",
    "x" * 240: "the name is too long for the file system",
    "é" * 120: "the name is too long for the file system",
    f"{'x' * 300}/scene": "the name is too long for the file system",
    "a/" * 3000 + "scene": "the name is too long for the file system",
    "file/scene": "a part of it that should be a folder is a file",
    "file/deeper/scene": "a part of it that should be a folder is a file",
    "file/": None,
}


@pytest.mark.parametrize("prefix", REFUSED, ids=[ascii(prefix)[:40] for prefix in REFUSED])
def test_a_prefix_that_names_no_file_is_refused(output, prefix, tmp_path):
    (output / "file").touch()
    (output / "link").symlink_to(tmp_path)
    before = files(tmp_path)
    if REFUSED[prefix] is None:  # a file of that name is no folder, and none is needed
        assert save(prefix=prefix) == f"/file_00001_{SAVED.suffix}"
        return
    with pytest.raises(ValueError, match="^filename_prefix: ") as caught:
        save(prefix=prefix)
    message = str(caught.value)
    assert REFUSED[prefix] in message and message.encode()  # the host logs it in UTF-8
    assert files(tmp_path) == before

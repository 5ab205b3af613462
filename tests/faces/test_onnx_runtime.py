"""Which ONNX Runtime provider is chosen, and the one line that helps a user whose GPU stays idle."""

import importlib.metadata
import importlib.util
import logging
import sys
import types

import numpy as np
import onnxruntime
import pytest
import torch
from customenhancer.faces import onnx_runtime, outline, pasting
from customenhancer.faces.keypoints import draw_keypoints
from customenhancer.faces.onnx_runtime import PROVIDER_CHOICES, choose_providers, face_package, report_idle_provider
from packaging.requirements import Requirement

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture(autouse=True)
def fresh(caplog):
    onnx_runtime._explain_idle_gpu.cache_clear()
    caplog.set_level(logging.INFO)


def offer(monkeypatch, *providers):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*providers, CPU])


def torch_with_cuda(monkeypatch, version="13.0"):
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: version is not None)


@pytest.mark.parametrize(
    ("choice", "offered", "expected"),
    [
        ("auto", [], [CPU]),
        ("auto", ["AzureExecutionProvider"], [CPU]),
        ("auto", ["TensorrtExecutionProvider", CUDA], [CUDA, CPU]),
        ("auto", ["DmlExecutionProvider"], ["DmlExecutionProvider", CPU]),
        ("CUDA", [CUDA], [CUDA, CPU]),
        ("CPU", [CUDA], [CPU]),
        ("CoreML", ["CoreMLExecutionProvider"], ["CoreMLExecutionProvider", CPU]),
    ],
)
def test_offered_provider_is_used_without_a_word(monkeypatch, caplog, choice, offered, expected):
    torch_with_cuda(monkeypatch, None)
    offer(monkeypatch, *offered)
    assert choose_providers(choice) == expected
    assert caplog.messages == []


@pytest.mark.parametrize("choice", ["CUDA", "DirectML", "CoreML"])
def test_absent_provider_falls_back_to_the_cpu_with_one_line(monkeypatch, caplog, choice):
    torch_with_cuda(monkeypatch, None)
    offer(monkeypatch)
    assert choose_providers(choice) == [CPU]
    (line,) = caplog.messages
    assert line.startswith("provider:") and choice in line and "CPU" in line and "\n" not in line


@pytest.mark.parametrize("choice", ["auto", "CUDA"])
def test_idle_gpu_is_explained_once_with_the_repairing_command(monkeypatch, caplog, choice):
    torch_with_cuda(monkeypatch)
    offer(monkeypatch)
    monkeypatch.setattr(onnx_runtime.importlib.util, "find_spec", lambda name: name)  # pip is there
    for _ in range(3):
        assert choose_providers(choice) == [CPU]
    (line,) = caplog.messages
    assert line.endswith(f"{sys.executable} -m pip install --force-reinstall --no-deps onnxruntime-gpu")
    assert "\n" not in line


def test_nothing_is_explained_to_who_asked_for_the_cpu(monkeypatch, caplog):
    torch_with_cuda(monkeypatch)
    offer(monkeypatch)
    assert choose_providers("CPU") == [CPU]
    assert caplog.messages == []


def test_cuda_that_cannot_start_is_explained(monkeypatch, caplog):
    """A runtime built for another CUDA version offers CUDA, then makes its sessions on the CPU."""
    torch_with_cuda(monkeypatch, "12.8")
    session = types.SimpleNamespace(get_providers=lambda: [CPU])
    for _ in range(2):
        report_idle_provider(session, [CUDA, CPU])
    (line,) = caplog.messages
    assert line.endswith("--no-deps onnxruntime-gpu==1.26.0")  # the last one for CUDA 12


def test_provider_that_started_is_not_mentioned(monkeypatch, caplog):
    torch_with_cuda(monkeypatch)
    report_idle_provider(types.SimpleNamespace(get_providers=lambda: [CUDA, CPU]), [CUDA, CPU])
    assert caplog.messages == []


def test_other_provider_that_cannot_start_is_mentioned(caplog):
    session = types.SimpleNamespace(get_providers=lambda: [CPU])
    report_idle_provider(session, ["DmlExecutionProvider", CPU])
    (line,) = caplog.messages
    assert "DmlExecutionProvider" in line and "CPU" in line


def test_repair_uses_uv_where_pip_is_absent(monkeypatch):
    torch_with_cuda(monkeypatch)
    monkeypatch.setattr(onnx_runtime.importlib.util, "find_spec", lambda name: None)  # pip is not
    monkeypatch.setattr(sys, "executable", "/with space/python")
    expected = 'uv pip install --python "/with space/python" --reinstall --no-deps onnxruntime-gpu'
    assert onnx_runtime.repair_command() == expected


def test_a_missing_onnxruntime_is_named_with_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="onnxruntime.*install.*requirements.txt"):
        choose_providers()


def break_import(monkeypatch, broken, error, distributions=()):
    """Let the import of one module fail as it does on a user's machine, with these distributions registered."""
    genuine = importlib.import_module

    def import_module(name, *package):
        if name.partition(".")[0] in broken:
            raise error
        return genuine(name, *package)

    def version(name):
        if name not in distributions:
            raise importlib.metadata.PackageNotFoundError(name)
        return distributions[name]

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # pip is there


NO_LIBGL = ImportError("libGL.so.1: cannot open shared object file: No such file or directory", name="cv2")


@pytest.mark.parametrize("module", ["cv2", "insightface.app"])
@pytest.mark.parametrize(
    ("distributions", "repair"),
    [
        ({"opencv-python": "4.10.0.84"}, "opencv-python-headless==4.10.0.84"),
        ({"opencv-python": "5.0.0.93", "opencv-python-headless": "4.10.0.84"}, "opencv-python-headless==5.0.0.93"),
        ({"opencv-python": "1.2", "opencv-contrib-python": "4.11.0.86"}, "opencv-contrib-python-headless==4.11.0.86"),
        ({"opencv-python-headless": "4.10.0.84"}, "opencv-python-headless==4.10.0.84"),
    ],
)
def test_opencv_without_its_system_library_is_repaired_by_the_headless_one(monkeypatch, module, distributions, repair):
    break_import(monkeypatch, ("cv2", "insightface"), NO_LIBGL, distributions)
    with pytest.raises(ImportError, match="OpenCV.*libGL.so.1") as raised:
        face_package(module)
    assert str(raised.value).endswith(f"{sys.executable} -m pip install --force-reinstall --no-deps {repair}")
    assert "requirements" not in str(raised.value)


def test_opencv_whose_files_are_gone_is_not_left_to_a_command_that_finds_it_installed(monkeypatch):
    """As after `pip uninstall opencv-python-headless`, which takes the shared files with it."""
    gone = ModuleNotFoundError("No module named 'cv2'", name="cv2")
    break_import(monkeypatch, ("cv2",), gone, {"opencv-python": "5.0.0.93"})
    with pytest.raises(ImportError, match="--force-reinstall --no-deps opencv-python-headless==5.0.0.93$"):
        face_package("cv2")


def test_opencv_that_was_never_installed_comes_with_the_requirements(monkeypatch):
    break_import(monkeypatch, ("cv2",), ModuleNotFoundError("No module named 'cv2'", name="cv2"))
    with pytest.raises(ImportError, match="No module named 'cv2'.* install -r .*requirements.txt$"):
        face_package("cv2")


def test_a_missing_package_behind_another_error_comes_with_the_requirements(monkeypatch):
    """InsightFace raises a plain ImportError from the one that names ONNX Runtime."""
    error = ImportError("InsightFace requires ONNX Runtime")
    error.__cause__ = ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
    break_import(monkeypatch, ("insightface",), error, {"opencv-python": "5.0.0.93"})
    with pytest.raises(ImportError, match="requires ONNX Runtime.* install -r .*requirements.txt$"):
        face_package("insightface.app")


def test_a_broken_package_is_installed_again(monkeypatch):
    """`install -r` would find it installed, and change nothing."""
    error = ImportError("DLL load failed while importing onnxruntime_pybind11_state", name="onnxruntime")
    break_import(monkeypatch, ("onnxruntime",), error, {"opencv-python": "5.0.0.93"})
    with pytest.raises(ImportError, match="DLL load failed.* --force-reinstall --no-deps -r .*requirements.txt$"):
        choose_providers()


def test_whatever_draws_or_pastes_with_opencv_gives_that_error(monkeypatch):
    break_import(monkeypatch, ("cv2",), NO_LIBGL, {"opencv-python": "5.0.0.93"})
    picture = np.zeros((64, 64, 3), np.float32)
    for use in (
        lambda: draw_keypoints(np.arange(10).reshape(5, 2), 64, 64),
        lambda: pasting.paste(picture, picture, np.eye(2, 3), picture[..., 0]),
        lambda: pasting.soft_box(picture[..., 0]),
        lambda: outline.ramp(picture[..., 0] > 0, 1.0),
    ):
        with pytest.raises(ImportError, match="opencv-python-headless==5.0.0.93$"):
            use()


def test_every_choice_gives_providers_that_this_machine_offers():
    for choice in PROVIDER_CHOICES:
        assert set(choose_providers(choice)) <= set(onnxruntime.get_available_providers())


@pytest.mark.parametrize(
    ("platform", "machine", "gpu"),
    [("linux", "x86_64", True), ("win32", "AMD64", True), ("darwin", "arm64", False), ("darwin", "x86_64", False),
     ("linux", "aarch64", False)],
)  # fmt: skip
def test_requirements_ask_for_the_gpu_runtime_where_there_are_wheels(platform, machine, gpu):
    lines = [line for line in onnx_runtime.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    environment = {"sys_platform": platform, "platform_machine": machine}
    wanted = [one.name for one in requirements if one.marker is None or one.marker.evaluate(environment)]
    assert ("onnxruntime-gpu" in wanted) == gpu
    # Line by line, the GPU build must come last, or InsightFace's CPU build lies over it.
    assert [one.name for one in requirements].index("onnxruntime-gpu") > wanted.index("insightface")

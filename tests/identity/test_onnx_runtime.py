"""Which ONNX Runtime provider is chosen, and the one line that helps a user whose GPU stays idle."""

import logging
import sys
import types

import onnxruntime
import pytest
import torch
from customenhancer.identity import onnx_runtime
from customenhancer.identity.onnx_runtime import PROVIDER_CHOICES, choose_providers, report_idle_provider
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

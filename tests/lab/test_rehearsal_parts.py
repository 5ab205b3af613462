"""The rehearsal's prompts, log reader, table and bundle, without a server."""

import importlib.util
import sys
import tarfile

import pytest
from helpers.host_client import find
from helpers.paths import HOST
from rehearsal import __main__ as rehearsal
from rehearsal import absent, bundle, graphs, offline
from rehearsal.graphs import Extent
from rehearsal.log import loading_reports
from rehearsal.report import markdown

MISSING = "clip missing: ['clip_l.logit_scale']"


def links(prompt):
    for node in prompt.values():
        yield from (value for value in node["inputs"].values() if isinstance(value, list))


@pytest.mark.parametrize("read_faces", [True, False])
@pytest.mark.parametrize("flow", graphs.FLOWS)
def test_the_prompts_are_whole(flow, read_faces):
    prompt = graphs.flow_prompt(flow, Extent(64, 10), read_faces)
    assert {source for source, _ in links(prompt)} <= prompt.keys()
    classes = {node["class_type"] for node in prompt.values()}
    assert "LoadImage" not in classes  # it wants a package that reads videos
    assert any(name.startswith("CE_Face") for name in classes) == read_faces
    assert prompt[find(prompt, "BasicScheduler")]["inputs"]["steps"] == 10
    guiders = [node["inputs"] for node in prompt.values() if node["class_type"] == "CE_TripleFlowGuider"]
    (balance,) = [node_id for node_id, node in prompt.items() if node["class_type"] == "CE_IdentityBalance"]
    assert [guider["forward_scale"] for guider in guiders] == [[balance, 1], 0]
    assert {guider["start_step"] for guider in guiders} == {2}


@pytest.mark.parametrize("flow", graphs.FLOWS)
def test_the_prompts_name_the_rehearsals_files_alone(flow):
    files = [
        value
        for node in graphs.flow_prompt(flow, Extent(64, 10)).values()
        for value in node["inputs"].values()
        if isinstance(value, str) and value.endswith((".safetensors", ".bin"))
    ]
    assert len(files) == 1 + len(graphs.FLOWS[flow][1])
    assert all(name.startswith("random_") for name in files)


def test_a_run_has_steps_before_and_after_the_starting_step():
    assert [Extent(64, steps).start_step for steps in (2, 5, 50)] == [1, 1, 10]


def test_each_precision_is_inverted_from_the_same_latent():
    prompt = graphs.precision_prompt(Extent(64, 3))
    assert {source for source, _ in links(prompt)} <= prompt.keys()
    inversions = [node["inputs"] for node in prompt.values() if node["class_type"] == "CE_ResInversion"]
    assert [node["latent_image"] for node in inversions] == [["latent", 0]] * 3
    assert prompt["resized"]["inputs"]["width"] == 64


def test_the_precisions_may_have_a_smaller_picture():
    assert graphs.precision_prompt(Extent(128, 3, 64))["resized"]["inputs"]["height"] == 64


def test_the_log_is_read_without_colours_levels_and_empty_lists():
    log = "\n".join(
        [
            f"\x1b[1m\x1b[33m[WARNING]\x1b[0m {MISSING}",
            "[DEBUG] left over keys: dict_keys([])",
            "[DEBUG] clip unexpected: []",
            "[INFO] Requested to load SDXL",
            "got prompt; nothing is missing",
            f"[WARNING] {MISSING}",
            "[WARNING] missing controlnet keys: ['a']",
            "[WARNING] lora key not loaded: lora_unet_x",
            "[DEBUG] left over keys: dict_keys(['model_ema.decay'])",
        ]
    )
    assert loading_reports(log) == [
        MISSING,
        "missing controlnet keys: ['a']",
        "lora key not loaded: lora_unet_x",
        "left over keys: dict_keys(['model_ema.decay'])",
    ]


def results(error=1e-6, **more):
    """What a run of one flow and the precisions finds."""
    taken = {"processor": 4.0, "process": 3 << 30, "resident": 4 << 30, "device": 0, "device_tensors": 0, "weights": 0}
    node = {"title": graphs.SCENE, "class_type": "SamplerCustomAdvanced", "seconds": 2.0, "guider_calls": 7, **taken}
    shared = {"nodes": {"1": node}, "held": {"tensors": 2 << 20, **taken}, "seconds": 5.0, "loading": []}
    flow = {
        **shared,
        "loading": [MISSING],
        "patched": {"UNet weights": 560, "attention layers": 0},
        "latent": {"finite": True, "deviation": 0.9},
        **{"error": error, "effect": 0.5, "applications": 2.0},
        **more,
    }
    errors = dict.fromkeys(graphs.PRECISIONS, 1e-06)
    return {
        "about": {"machine": "a box"},
        "flows": {"LoRA": flow, "precisions": {**shared, "errors": errors, "moved": errors}},
    }


def test_the_table_has_a_column_for_each_flow_and_what_the_loaders_said():
    page = markdown(results())
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in page.splitlines()
        if line.startswith("|")
    }
    assert rows[""] == ["LoRA", "precisions"]
    assert rows["UNet weights from files"] == ["560", ""]
    assert rows["attention layers from files"] == ["", ""]
    assert rows["guider calls, scene"] == ["7", "7"]
    assert rows["seconds, scene"] == ["2.0 (4.0)", "2.0 (4.0)"]
    assert rows["seconds, all"] == ["5.0 (4.0)", "5.0 (4.0)"]
    assert rows["peak memory, GiB, all"] == ["3.0 (4.0)", "3.0 (4.0)"]
    assert rows["LoRA applications"] == ["2", ""]
    assert rows["the same, computing in bf16"] == ["", "1e-06"]
    assert rows["tensors after /free, MiB"] == ["2", "2"]
    assert f"- LoRA: `{MISSING}`" in page


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (results(), None),
        (results(error=2e-3), "off by 0.002"),
        (results(error=float("nan")), "off by nan"),
        (results(latent={"finite": False, "deviation": 1.0}), "not finite"),
    ],
)
def test_an_error_past_the_bound_and_nan_are_faults(found, fault):
    faults = rehearsal.inexact(found)
    assert [fault in each for each in faults] == ([True] if fault else [])


def test_a_precision_that_is_off_is_a_fault():
    found = results()
    found["flows"]["precisions"]["errors"]["fp16"] = 0.5
    assert rehearsal.inexact(found) == ["precisions, computing in fp16: reconstruction off by 0.5"]


def test_the_bundle_carries_what_the_host_needs_and_pytorch_is_there():
    found = bundle.requirements(HOST)
    assert {
        "transformers",
        "aiohttp",
        "sqlalchemy",
        "comfy-aimdo",
        "websocket-client",
        "insightface",
        "pip",
    } <= found.keys()
    assert not found.keys() & bundle.LEFT_OUT
    assert found.keys() - bundle.requirements(HOST, {"tqdm", "transformers"}).keys() >= {"tqdm", "transformers"}


def test_the_bundles_archives(tmp_path):
    (tmp_path / "host" / "models").mkdir(parents=True)
    for name in ("main.py", "models/large.safetensors", "comfy/sd.py"):
        path = tmp_path / "host" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    files = bundle._host_files(tmp_path / "host")
    assert [file.as_posix() for file in files] == ["comfy/sd.py", "main.py"]
    bundle._archive(tmp_path / "host.tar.xz", tmp_path / "host", files, {"COMMIT": "commit 123"})
    with tarfile.open(tmp_path / "host.tar.xz") as archive:
        assert archive.getnames() == ["comfy/sd.py", "main.py", "COMMIT"]
        assert archive.extractfile("COMMIT").read() == b"commit 123"


def test_wheels_are_known_by_what_they_install(tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "BUNDLE", tmp_path)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "comfy_aimdo-0.4.11-cp39-abi3-manylinux2014_x86_64.whl").touch()
    assert offline.wheels().keys() == {"comfy-aimdo"}
    assert offline.is_installed("torch") and not offline.is_installed("comfy-nothing")


def test_absent_packages_are_empty_and_others_are_not_touched(monkeypatch):
    monkeypatch.setattr(absent, "NAMES", ("surely_absent_package",))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, absent.Finder()])
    from surely_absent_package.container import Thing

    assert isinstance(Thing, type)
    assert importlib.util.find_spec("another_absent_package") is None
    for name in [name for name in sys.modules if name.startswith("surely_absent_package")]:
        del sys.modules[name]

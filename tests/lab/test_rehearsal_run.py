"""A whole rehearsal, on narrow files, in a server of its own."""

import pytest
from helpers.lab import NARROW
from helpers.paths import HOST, TESTS
from rehearsal import __main__ as rehearsal
from rehearsal import graphs, models
from rehearsal.host import RealSizeServer
from rehearsal.report import markdown

EXTENT = graphs.Extent(side=128, steps=3)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What two flows and the precisions give."""
    folder = models.ensure_models(tmp_path_factory.mktemp("models"), 0, NARROW)
    base = tmp_path_factory.mktemp("server")
    tiny = {"customenhancer_test_support": TESTS / "support_pack"}
    server = RealSizeServer(base, HOST, folder, True, "fp16", base / "comfyui.log", tiny)
    *before, last = rehearsal.rehearse(server, EXTENT, ("InstantID", "LoRA on one side"))
    assert [list(results["flows"]) for results in before] == [["precisions"], ["precisions", "InstantID"]]
    return last


def test_what_is_patched_is_what_the_files_hold(results):
    instantid, lora = (results["flows"][name]["patched"] for name in ("InstantID", "LoRA on one side"))
    assert instantid["attention layers"] == 11 and instantid["UNet weights"] == 0
    assert instantid["control tensors"] > 200
    assert lora["UNet weights"] == 11 * 8 and lora["text encoder weights"] == 2 * 3 * 6


def test_calls_and_times_and_memory_are_those_of_the_nodes(results):
    for flow in ("InstantID", "LoRA on one side"):
        nodes = {node["title"]: node for node in results["flows"][flow]["nodes"].values()}
        calls = {title: nodes[title].get("guider_calls") for title in (graphs.SCENE, graphs.TRIPLE, "ResInversion")}
        assert calls == {graphs.SCENE: 3, graphs.TRIPLE: 3, "ResInversion": 4}
        assert all(nodes[title]["seconds"] > 0 and nodes[title]["process"] > 100 << 20 for title in calls)


def test_every_reconstruction_is_exact_and_every_precision_is_in_use(results):
    assert rehearsal.inexact(results) == []
    for flow in ("InstantID", "LoRA on one side"):
        assert results["flows"][flow]["error"] < 1e-5 < results["flows"][flow]["effect"]
    precisions = results["flows"]["precisions"]
    assert max(precisions["errors"].values()) < 1e-5
    assert precisions["moved"]["fp32"] == 0
    assert 0 < precisions["moved"]["fp16"] < precisions["moved"]["bf16"]


def test_the_lora_is_worked_into_all_of_its_weights(results):
    assert results["flows"]["LoRA on one side"]["applications"] == 1
    assert results["flows"]["InstantID"]["applications"] is None


def test_the_loaders_report_what_they_report_of_sdxls_own_file(results):
    for flow in results["flows"].values():
        assert flow["loading"] == ["clip missing: ['clip_l.logit_scale', 'clip_l.transformer.text_projection.weight']"]


def test_little_is_held_after_free(results):
    for flow in results["flows"].values():
        assert flow["held"]["tensors"] < 1 << 20


def test_the_page_tells_of_the_machine_and_both_flows(results):
    page = markdown(results)
    assert "| precisions | InstantID | LoRA on one side |" in page
    assert "--cpu --fp16-unet" in page and "128 pixels, 3 steps, starting step 1" in page

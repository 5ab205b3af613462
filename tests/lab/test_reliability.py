"""The criteria of reliability: what meets them and what does not, and the tables that are written."""

import pytest

from reliability import graphs
from reliability.host_tests import judged, read_result
from reliability.report import Section, page, table
from reliability.soak import steady
from reliability.traces import snapshot, traces

MIB = 2**20


def samples(*heap, tensors=(900, 901, 900, 900, 901, 900), models=3):
    return [
        {"heap": h * MIB, "tensors": t, "tensor_bytes": t * 100, "models": models}
        for h, t in zip(heap, tensors, strict=True)
    ]


def test_memory_that_wavers_is_steady_and_memory_that_grows_is_not():
    assert steady(samples(1000, 1010, 990, 1005, 1012, 996))
    assert not steady(samples(1000, 1010, 1020, 1040, 1060, 1080))
    assert not steady(samples(*[1000] * 6, tensors=(900, 901, 902, 903, 904, 905)))
    growing = samples(*[1000] * 6)
    for number, found in enumerate(growing):
        found["models"] = 3 + number
    assert not steady(growing)
    with pytest.raises(ValueError, match="too few"):
        steady(samples(*[1000] * 6)[:3])


def test_a_prompt_holds_only_what_its_outputs_need():
    found = graphs.shown(graphs.sampling_nodes()["Null-Text Inversion"][0], ("target", 1))
    assert {"target", "scene", "target/1"} <= found.keys() and not {"inverted", "flows", "bimd"} & found.keys()


WHOLE = "....\n=== short test summary info ===\n{}\n12 passed, 2 skipped in 140.2s\n"
ONE_FAILS = "FAILED tests/execution/test_a.py::test_b - assert 1\n11 passed, 1 failed, 2 skipped in 150s"


def test_the_hosts_tests_hold_only_if_the_pack_adds_no_failure():
    whole, failing = read_result(WHOLE.format("")), read_result(ONE_FAILS)
    assert whole.counts == {"passed": 12, "skipped": 2} and failing.failing == {"tests/execution/test_a.py::test_b"}
    assert judged(whole, whole, [("a",)]).held
    one_of_many = read_result(ONE_FAILS.replace("11 passed", "99 passed"))
    assert judged(one_of_many, one_of_many, [("a",)]).held
    assert judged(one_of_many, read_result("100 passed, 2 skipped in 9s"), [("a",)]).held
    assert not judged(failing, failing, [("a",)]).held  # 11 of 12 are too few
    assert not judged(failing, whole, [("a",)]).held
    assert not judged(whole, failing, [("a",)]).held
    assert not judged(whole, read_result("collected 14 items\nKilled"), [("a",)]).held
    assert not judged(whole, read_result("3 passed in 2s"), [("a",)]).held


def test_a_file_that_appears_or_changes_is_a_trace(tmp_path):
    (tmp_path / "kept").write_text("a")
    before = {"home": snapshot(tmp_path)}
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("Python's own")
    assert traces(before, {"home": snapshot(tmp_path)}).held
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "device").write_text("id")
    found = traces(before, {"home": snapshot(tmp_path)})
    assert not found.held and ".cache/device" in found.notes[0]


def test_a_page_holds_tables_and_says_what_did_not_hold():
    sections = [Section("One", "It must hold.", [("a", "n"), ("x", 1)], True), Section("Two", "So.", [("a",)], False)]
    text = page([("date", "2026-01-02")], sections)
    assert "It must hold. Held." in text and "So. **Did not hold.**" in text and "| date | 2026-01-02 |" in text
    assert table([("name", "n"), ("a", 10), ("bb", 2)]) == (
        "| name |  n |\n| ---- | -: |\n| a    | 10 |\n| bb   |  2 |"
    )

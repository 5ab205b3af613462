"""What the support pack tells of values, and the failures that it can cause."""

import dataclasses
import math

import comfy.model_base
import comfy.model_management
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from support_pack import failures, probes


@dataclasses.dataclass
class Recording:
    anchors: torch.Tensor
    kind: str


def test_a_digest_tells_shapes_and_whether_all_is_finite():
    good, bad = torch.zeros(2, 3), torch.tensor([1.0, math.nan])
    assert probes.digest({"samples": good, "noise_mask": torch.ones(4)})["shapes"] == [[4], [2, 3]]
    for value in (good, {"samples": good}, [[good, {"pooled_output": good}]], Recording(good, "x"), 0.5, "nan", None):
        assert probes.digest(value)["finite"], value
    for value in (bad, {"samples": bad}, [[good, {"pooled_output": bad}]], Recording(bad, "x"), math.nan, math.inf):
        assert not probes.digest(value)["finite"], value
    assert probes.digest(torch.tensor([-3.0, 2.0]))["largest"] == 3


def test_two_hashes_are_equal_only_if_the_values_are():
    first = torch.rand(3, 5)
    other = first.clone()
    assert probes.digest(first) == probes.digest(other)
    other[1, 2] = torch.nextafter(other[1, 2], torch.tensor(2.0))  # the last bit
    values = [first, other, first.T, first.reshape(5, 3), first.double(), torch.zeros(0, 3), "a", "b", 1, 1.0]
    assert len({probes.digest(value)["hash"] for value in values}) == len(values)


def test_pixels_count_as_touched_only_where_the_mask_is_not_zero():
    before, mask = torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 4)
    after = before.clone()
    after[0, 1, 2] = 0.5
    assert probes.untouched_difference(before, after, mask) == 0.5
    mask[0, 1, 2] = 0.01
    assert probes.untouched_difference(before, after, mask) == 0
    with pytest.raises(ValueError, match="different shapes"):
        probes.untouched_difference(before, after, mask[:, :3])


def test_a_tensor_is_made_as_asked():
    assert probes.made("2, 3", "float16", "ones", 0).equal(torch.ones(2, 3, dtype=torch.float16))
    assert probes.made("0,4", "float32", "random", 0).shape == (0, 4)
    assert probes.made("1", "float32", "nan", 0).isnan().all()
    assert probes.made("", "float32", "random", 0).shape == ()


class Model(comfy.model_base.BaseModel):
    """A model that counts its calls."""

    def __init__(self):
        torch.nn.Module.__init__(self)


@pytest.fixture
def call(monkeypatch):
    """Call a model in a node; failures are due in "sampler" alone."""
    calls = []
    monkeypatch.setattr(comfy.model_base.BaseModel, "apply_model", lambda self, x: calls.append(x))
    failures.install()

    def call(node):
        with CurrentNodeContext("a prompt", node):
            Model().apply_model(1)
        return len(calls)

    yield call
    failures.disarm()


def test_memory_runs_out_once_at_the_call_asked_for(call):
    failures.arm("sampler", 2, "memory")
    assert [call("other"), call("other"), call("sampler")] == [1, 2, 3]
    with pytest.raises(comfy.model_management.OOM_EXCEPTION):
        call("sampler")
    assert call("sampler") == 4


def test_an_interrupt_is_asked_for_and_the_call_goes_on(call):
    failures.arm("sampler", 1, "interrupt")
    assert call("sampler") == 1
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        comfy.model_management.throw_exception_if_processing_interrupted()


def test_what_cannot_happen_is_refused():
    for node, number, kind in (("sampler", 0, "memory"), ("sampler", 1, "fire")):
        with pytest.raises(ValueError, match="kind is one of"):
            failures.arm(node, number, kind)


def test_memory_tells_of_tensors_that_live():
    before = failures.memory()
    kept = torch.zeros(1000, 1000)
    after = failures.memory()
    assert after["tensors"] >= before["tensors"] + 1 and after["tensor_bytes"] >= before["tensor_bytes"] + 4_000_000
    assert kept is not None and after["heap"] > after["tensor_bytes"]


def test_the_heap_grows_with_what_is_kept_and_shrinks_when_it_is_let_go():
    before = failures.memory()["heap"]
    kept = [bytes([number]) * 1_000_000 for number in range(64)]
    grown = failures.memory()["heap"]
    del kept
    assert grown - before > 50_000_000 and failures.memory()["heap"] < grown - 50_000_000

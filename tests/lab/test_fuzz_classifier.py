"""Which answer of the host is a fault of ours: raw errors are, errors that name an input and others' are not."""

import pytest

from fuzz.classifier import (
    DEAD,
    HANG,
    OK,
    RAW,
    REFUSED,
    SLOW,
    STOCK,
    classify,
    message_shape,
    names_input,
    one_line,
)
from fuzz.client import Answer

OURS = '  File "/base/custom_nodes/ComfyUI-CustomEnhancer/host/checks.py", line 7, in check_mask\n    mask.any()\n'
TORCH = '  File "/lib/site-packages/torch/nn/functional.py", line 9, in linear\n    ...\n'
SCHEMA = {
    "CE_Invert": {"input": {"required": {"guider": ["GUIDER"], "sigmas": ["SIGMAS", {}]}}, "output": ["LATENT"]},
    "CE_Guider": {
        "input": {"required": {"pivot_flow": ["GUIDER"]}, "optional": {"scale": ["FLOAT", {}]}},
        "output": [],
    },
    "Sampler": {"input": {"required": {"guider": ["GUIDER"]}}, "output": ["LATENT"]},
    "VAEDecode": {"input": {"required": {"samples": ["LATENT"]}}, "output": ["IMAGE"]},
}
GRAPH = {
    "flow": {"class_type": "CE_Guider", "inputs": {"pivot_flow": ["elsewhere", 0], "scale": 1.0}},
    "invert": {"class_type": "CE_Invert", "inputs": {"guider": ["flow", 0], "sigmas": ["elsewhere", 0]}},
    "sample": {"class_type": "Sampler", "inputs": {"guider": ["flow", 0]}},
    "plain": {"class_type": "Sampler", "inputs": {"guider": ["elsewhere", 0]}},
    "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["invert", 0]}},
}


def failed(node, message, kind="ValueError", traceback=OURS):
    error = {"node_id": node, "node_type": GRAPH[node]["class_type"], "exception_message": message}
    return Answer("error", error={**error, "exception_type": kind, "traceback": [traceback]})


def kind_of(answer):
    return classify(GRAPH, SCHEMA, answer).kind


def test_an_error_that_names_an_input_of_the_node_is_a_refusal():
    assert kind_of(failed("invert", "sigmas: must descend at every step.\n")) == REFUSED


@pytest.mark.parametrize(
    "message",
    [
        "The size of tensor a (2) must match the size of tensor b (3)",
        "'NoneType' object has no attribute 'model_kind'",
        "depth: must be positive",  # no input of this node
        "sigmas",
        "",
    ],
)
def test_any_other_text_from_a_node_of_ours_is_raw(message):
    assert kind_of(failed("invert", message)) == RAW


def test_a_type_that_no_check_raises_is_raw_whatever_its_text():
    assert kind_of(failed("invert", "sigmas: x", kind="KeyError")) == RAW
    assert kind_of(failed("invert", "guider: x", kind="torch.OutOfMemoryError")) == RAW


def test_a_sampler_is_ours_while_our_guider_runs_in_it_and_may_name_the_guiders_inputs():
    assert kind_of(failed("sample", "mat1 and mat2 shapes cannot be multiplied", "RuntimeError")) == RAW
    assert kind_of(failed("sample", "scale: is NaN. Set a number.")) == REFUSED
    assert kind_of(failed("plain", "mat1 and mat2 shapes cannot be multiplied", "RuntimeError", TORCH)) == STOCK
    assert kind_of(failed("decode", "'NoneType' object", "AttributeError", TORCH)) == STOCK


def test_a_patch_of_ours_in_a_stock_sampler_is_ours_where_it_raised_and_not_where_the_host_did():
    host = '  File "/base/comfy/ldm/modules/attention.py", line 3, in forward\n    ...\n'
    text = "mat1 and mat2 shapes cannot be multiplied"
    assert kind_of(failed("plain", text, "RuntimeError", host + OURS + TORCH)) == RAW
    assert kind_of(failed("plain", text, "RuntimeError", OURS + host + TORCH)) == STOCK
    assert kind_of(failed("plain", "guider: has no face.", "ValueError", host + OURS)) == REFUSED


def test_two_raw_errors_are_one_fault_if_they_come_from_one_place_of_the_pack():
    first, second = (failed("invert", text, "TypeError", OURS + TORCH) for text in ("a 3", "b 'x' 4"))
    elsewhere = failed("invert", "a 3", "TypeError", OURS.replace("check_mask", "check_latent") + TORCH)
    shapes = [classify(GRAPH, SCHEMA, answer).shape for answer in (first, second, elsewhere)]
    assert shapes[0] == shapes[1] == "TypeError in checks.py check_mask" != shapes[2]


def refused(kind="value_not_in_list", traceback="", status=400):
    extra = {"traceback": [traceback], "exception_type": "KeyError"}
    reason = {"type": kind, "message": "m", "details": "d", "extra_info": extra}
    return Answer("refused", status, node_errors={"invert": {"class_type": "CE_Invert", "errors": [reason]}})


def test_validation_is_a_refusal_unless_our_own_raises():
    assert kind_of(refused()) == REFUSED
    assert kind_of(refused("exception_during_validation", OURS)) == RAW
    assert kind_of(refused("exception_during_inner_validation", OURS)) == RAW
    assert kind_of(refused("exception_during_validation", TORCH)) == REFUSED  # a link to nowhere: the host's KeyError


def test_a_prompt_of_which_the_host_runs_a_part_is_refused_and_a_whole_one_is_ok():
    part = refused()
    part.ended, part.status = "done", 200
    assert kind_of(part) == REFUSED
    assert kind_of(Answer("done")) == OK


def test_a_host_that_is_lost_is_a_fault_and_one_that_lets_itself_be_interrupted_is_slow():
    kinds = [kind_of(Answer(ended)) for ended in ("dead", "hang", "interrupted")]
    assert kinds == [DEAD, HANG, SLOW]
    assert [classify(GRAPH, SCHEMA, Answer(ended)).is_fault for ended in ("dead", "hang", "interrupted")] == [
        True,
        True,
        False,
    ]


def test_a_name_counts_only_at_the_start():
    assert names_input("sigmas: 1 value makes no step.", {"sigmas"})
    assert names_input("sigmas and mask: differ in size.", {"sigmas"})
    assert not names_input("the sigmas: must descend.", {"sigmas"})
    assert not names_input("sigmas:", {"sigmas"})


def test_text_for_a_report_is_one_printable_line():
    assert one_line("a\n b\x00\ud800é") == "a b\\x00\\ud800\\xe9"
    assert len(one_line("x" * 5000)) < 400
    assert message_shape("size 3 of 'a' at 0x7f") == message_shape("size 44 of 'b' at 0x12")

"""What the fuzzer's oracles see in results, and that good results pass them."""

import json

import pytest

from fuzz.classifier import NAN, SILENT
from fuzz.client import Answer
from fuzz.oracles import anew, judge, prepared, saved, unlike

SCHEMA = {
    "CE_ResInversion": {
        "input": {
            "required": {"guider": ["GUIDER"], "sigmas": ["SIGMAS"], "latent_image": ["LATENT"]},
            "optional": {"scale": ["FLOAT", {"default": 1.0}]},
        },
        "output": ["CE_RESIDUAL_NOISE", "LATENT"],
    },
    "CE_FaceSwap": {"input": {"required": {"image": ["IMAGE"]}}, "output": ["IMAGE", "MASK"]},
    "CE_BiMDSampler": {"input": {"required": {"residual_noise": ["CE_RESIDUAL_NOISE"]}}, "output": ["SAMPLER"]},
    "SamplerCustomAdvanced": {"input": {"required": {"sampler": ["SAMPLER"]}}, "output": ["LATENT", "LATENT"]},
    "Stock": {"input": {"required": {}}, "output": ["GUIDER", "SIGMAS", "LATENT", "IMAGE"]},
}
GRAPH = {
    "stock": {"class_type": "Stock", "inputs": {}},
    "invert": {
        "class_type": "CE_ResInversion",
        "inputs": {"guider": ["stock", 0], "sigmas": ["stock", 1], "latent_image": ["stock", 2], "scale": 1.0},
    },
    "swap": {"class_type": "CE_FaceSwap", "inputs": {"image": ["stock", 3]}},
}


def seen(*shape, finite=True, bits="a", largest=1.0):
    return {"kind": "Tensor", "shapes": [list(shape)], "finite": finite, "largest": largest, "hash": bits}


GOOD = {
    "stock/1": seen(5),
    "stock/2": seen(2, 4, 8, 8, largest=20.0),
    "stock/3": seen(2, 64, 64, 3),
    "invert/0": seen(5, 2, 4, 8, 8),
    "invert/1": seen(2, 4, 8, 8),
    "swap/0": seen(2, 64, 64, 3),
    "swap/1": seen(2, 64, 64),
}


def answer(changed=(), **texts):
    digests = {name: [json.dumps(digest)] for name, digest in {**GOOD, **dict(changed)}.items()}
    shown = {"back invert": "1e-6", "untouched swap": "0.0", **texts}
    outputs = {**digests, **{name: [text] for name, text in shown.items()}}
    return Answer("done", outputs={name: {"text": text} for name, text in outputs.items()})


FULL = prepared(GRAPH, SCHEMA)


def test_a_good_result_passes():
    assert judge(FULL, SCHEMA, answer()) is None


def test_everything_that_is_judged_is_looked_at():
    assert {name for name, node in FULL.items() if node["class_type"] == "TestDigest"} >= GOOD.keys()
    back = FULL["back invert"]["inputs"]
    assert back == {"a": ["stock", 2], "b": ["back invert sampled", 0]}
    assert FULL["back invert sampled"]["inputs"]["guider"] == ["stock", 0]


@pytest.mark.parametrize(
    ("changed", "texts", "kind", "node"),
    [
        ({"invert/1": seen(2, 4, 8, 8, finite=False)}, {}, NAN, "CE_ResInversion"),
        ({"invert/1": seen(1, 4, 8, 8)}, {}, SILENT, "CE_ResInversion"),
        ({"swap/0": seen(1, 64, 64, 3)}, {}, SILENT, "CE_FaceSwap"),
        ({"swap/1": seen(2, 64, 63)}, {}, SILENT, "CE_FaceSwap"),
        ({}, {"back invert": "0.001"}, SILENT, "CE_ResInversion"),
        ({}, {"back invert": "nan"}, SILENT, "CE_ResInversion"),
        ({}, {"untouched swap": "0.004"}, SILENT, "CE_FaceSwap"),
    ],
)
def test_a_bad_one_is_found(changed, texts, kind, node):
    verdict = judge(FULL, SCHEMA, answer(changed, **texts))
    assert (verdict.kind, verdict.node) == (kind, node)


def test_nan_that_came_in_is_not_ours_and_an_error_within_the_scale_is_rounding():
    assert (
        judge(FULL, SCHEMA, answer({"stock/1": seen(5, finite=False), "invert/1": seen(2, 4, 8, 8, finite=False)}))
        is None
    )
    assert judge(FULL, SCHEMA, answer(**{"back invert": "1.9e-4"})) is None  # of a latent up to 20


def test_a_number_that_is_none_must_not_be_accepted():
    graph = json.loads(json.dumps(FULL))
    graph["invert"]["inputs"]["scale"] = float("nan")
    verdict = judge(graph, SCHEMA, answer())
    assert verdict.kind == SILENT and "scale" in verdict.what
    failed = answer()
    del failed.outputs["invert/0"]  # it did not run
    assert judge(graph, SCHEMA, failed) is None


def test_a_repeated_prompt_must_give_the_same_bits():
    assert unlike(FULL, SCHEMA, answer(), answer()) is None
    verdict = unlike(FULL, SCHEMA, answer(), answer({"swap/0": seen(2, 64, 64, 3, bits="b")}))
    assert (verdict.kind, verdict.node) == (SILENT, "CE_FaceSwap")


def test_a_prompt_run_anew_changes_nothing_but_the_run():
    graph = {"fresh": {"class_type": "TestFresh", "inputs": {"value": ["stock", 0], "run": 0}}, **GRAPH}
    again = anew(graph, 7)
    assert again["fresh"]["inputs"] == {"value": ["stock", 0], "run": 7} and graph["fresh"]["inputs"]["run"] == 0
    assert {name: node for name, node in again.items() if name != "fresh"} == GRAPH


def test_saved_files_are_named_as_the_load_nodes_name_them():
    outputs = {"save": {"recordings": [{"filename": "a_1.x", "subfolder": "s", "type": "output"}]}, "other": {}}
    assert list(saved(GRAPH, Answer("done", outputs=outputs))) == [("save", "s/a_1.x [output]")]


def test_a_face_that_the_sampled_model_never_saw_is_found():
    def conditioned(model, scale, as_input="positive", cfg=4.0):
        guider = {"model": [model, 0], as_input: ["face", 1], "cfg": cfg}
        return {
            "load": {"class_type": "Stock", "inputs": {}},
            "face": {
                "class_type": "CE_InstantIDForwardFlow",
                "inputs": {"model": ["load", 0], "ip_adapter_scale": scale},
            },
            "guider": {"class_type": "Stock", "inputs": guider},
            "sampled": {"class_type": "SamplerCustomAdvanced", "inputs": {"guider": ["guider", 0]}},
        }

    schema = {**SCHEMA, "CE_InstantIDForwardFlow": {"input": {}, "output": ["MODEL", "CONDITIONING"]}}
    done = Answer("done", outputs={"sampled/0": {"text": [json.dumps(seen(1, 4, 8, 8))]}})
    assert judge(conditioned("load", 0.8), schema, done).node == "CE_InstantIDForwardFlow"
    assert judge(conditioned("load", 0), schema, done) is None
    assert judge(conditioned("face", 0.8), schema, done) is None
    assert judge(conditioned("load", 0.8, "negative"), schema, done) is not None
    assert judge(conditioned("load", 0.8, "negative", cfg=1.0), schema, done) is None
    assert judge(conditioned("load", 0.8), schema, Answer("error")) is None

"""What an API prompt can link or type into any input of any node: an error that names the input, before the body runs.

The cases are made from the schemas, so a new node and a new input are held to this without a word here.
"""

import asyncio
import math
from types import SimpleNamespace

import customenhancer
import pytest
import torch
from comfy_api.v0_0_2 import io
from customenhancer.faces.person import PersonFace
from customenhancer.faces.restorers import FaceRestorer
from customenhancer.faces.swappers import Inswapper
from customenhancer.host.checked_node import CheckedNode, check_inputs, file_inputs
from customenhancer.host.checks import model_kind
from customenhancer.host.flow_norms import FlowNorms
from customenhancer.host.input_checks import CHECKS, MOST_FLOAT, MOST_MULTILINE_TEXT, SOCKETS
from customenhancer.host.recordings import ModelPivot, ModelRecording
from customenhancer.identity.instantid import InstantID
from customenhancer.identity.photomaker import PhotoMaker
from helpers.sampling import picture, schedule
from standins.analytic import conditioning, gaussian_model, guider

NAN, INF, SURROGATE = math.nan, math.inf, "\ud800x"


async def _nodes():
    return await (await customenhancer.comfy_entrypoint()).get_node_list()


NODES = {node.define_schema().node_id: node for node in asyncio.run(_nodes())}
INPUTS = [(node_id, one) for node_id, node in NODES.items() for one in node.define_schema().inputs]


def offering(*names):
    return SimpleNamespace(**dict.fromkeys(names))


MODEL = gaussian_model()
ANCHORS = torch.zeros(3, 1, 4, 8, 8)
RECORDED = torch.arange(3.0), ANCHORS
KIND = model_kind(MODEL)
SOUND = {
    "IMAGE": torch.zeros(1, 8, 8, 3),
    "MASK": torch.ones(1, 8, 8),
    "LATENT": picture(),
    "SIGMAS": schedule(MODEL, steps=2),
    "CONDITIONING": conditioning(0.0, 1.0),
    "CURVE": {"points": [[0, 1], [1, 1]]},
    "MODEL": MODEL,
    "GUIDER": guider(MODEL),
    "CLIP": offering("tokenize"),
    "CLIP_VISION": offering("encode_image"),
    "VAE": offering("decode", "encode"),
    "SAMPLER": offering("sample"),
    "NOISE": offering("generate_noise"),
    "CONTROL_NET": offering("get_control", "set_cond_hint", "copy"),
    "FACEANALYSIS": SimpleNamespace(get=None, models={}),
    "CE_FACE_SWAPPER": Inswapper.__new__(Inswapper),  # without a file
    "CE_FACE_RESTORER": FaceRestorer(None, None),
    "CE_FACE": PersonFace({}, 1),
    "CE_PHOTOMAKER": PhotoMaker(None, {}),
    "CE_INSTANTID": InstantID(None),
    "CE_PIVOT": ModelPivot(*RECORDED, KIND),
    "CE_RESIDUAL_NOISE": ModelRecording(*RECORDED, ANCHORS[1:], KIND),
    "CE_FLOW_NORMS": FlowNorms(*torch.zeros(4, 2)),
}


def tensors(shape):
    """What is no tensor of a socket's kind: another dtype, nothing in it, NaN, Inf, another layout, on no device."""
    full = torch.full(shape, 0.5)
    return {
        "integers": full.int(),
        "booleans": full.bool(),
        "complex": full.to(torch.complex64),
        "empty": full[:0],
        "NaN": full * NAN,
        "Inf": full * INF,
        "sparse": full.to_sparse(),
        "no device": full.to("meta"),
        "axes": torch.zeros(1, 1, 1, 1, 1, 1, 1),
        "a scalar": torch.tensor(0.5),
        "an array": full.numpy(),
    }


NESTED = torch.nested.nested_tensor([torch.zeros(4, 8, 8), torch.zeros(4, 4, 4)])
FAULTY = {
    "IMAGE": {
        **tensors((1, 8, 8, 3)),
        **{f"{channels} channels": torch.zeros(1, 8, 8, channels) for channels in (1, 2, 5)},
        "no height": torch.zeros(1, 0, 8, 3),
        "one picture": torch.zeros(8, 8, 3),
    },
    "MASK": {**tensors((1, 8, 8)), "of 255": torch.full((1, 8, 8), 255.0), "below 0": torch.full((1, 8, 8), -1.0)},
    "LATENT": {
        **{name: {"samples": tensor} for name, tensor in tensors((1, 4, 8, 8)).items()},
        "no samples": {"other": torch.zeros(1, 4, 8, 8)},
        "null samples": {"samples": None},
        "nested": {"samples": NESTED},
        "a tensor": torch.zeros(1, 4, 8, 8),
        "a list": [torch.zeros(1, 4, 8, 8)],
        "a mask that is none": {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": "all"},
        "a mask with NaN": {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.full((1, 8, 8), NAN)},
        "an empty mask": {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.zeros(0, 8, 8)},
    },
    "SIGMAS": {**tensors((4,)), "empty": "none", "two axes": torch.ones(2, 2), "nested": NESTED, "a list": [1.0, 0.0]},
    "CONDITIONING": {
        "empty": [],
        "text": "a man",
        "no pairs": [torch.zeros(1, 77, 8)],
        "no options": [[torch.zeros(1, 77, 8), None]],
        "NaN": [[torch.full((1, 77, 8), NAN), {}]],
    },
    "CURVE": {
        "text": "linear",
        "no points": {"points": []},
        "NaN": [[0, NAN]],
        "a number": 1,
        "digits": [[0, 10**400]],
    },
    "BOOLEAN": {"a number": 1, "text": "false", "a list": [True]},
    "COMBO": {"another word": "unknown", "a number": 3, "a list": ["error"], "a surrogate": SURROGATE},
}
FILE = {"a number": 3, "a list": ["a"], "a NUL": "a\0b", "an object": {"a": 1}}
LIMITS = {"below": lambda one: one.min - 1, "above": lambda one: one.max + 1}
NUMBER = {
    **{"NaN": NAN, "Inf": INF, "-Inf": -INF, "text": "1", "true": True, "a list": [1], "digits": 10**5000},
    "a tensor": torch.tensor(1.0),
}


def faulty(one, *, file):
    """Values, by what is wrong with them, that an input of a schema cannot work with."""
    io_type = one.get_io_type()
    if file:
        return FILE
    if io_type in ("FLOAT", "INT"):
        beyond = {name: limit(one) for name, limit in LIMITS.items() if getattr(one, "min", None) is not None}
        return {**NUMBER, **beyond, **({"a fraction": 3.7, "a whole FLOAT": 3.0} if io_type == "INT" else {})}
    if io_type == "STRING":
        too_long = "1" * (MOST_MULTILINE_TEXT + 1)
        return {
            "a number": 5,
            "a surrogate": SURROGATE,
            "a NUL": "a\0b",
            "digits": too_long,
            "bytes": b"a",
            "a list": [],
        }
    if io_type in FAULTY:
        return FAULTY[io_type]
    others = {
        "text": "cpu",
        "a number": 5,
        "a dictionary": {},
        "a list": [None],
        "an object": object(),
        "a class": dict,
    }
    return {**others, **{name: value for name, value in SOUND.items() if name not in io_type.split(",")}}


def sound(one):
    """A value that an input can work with."""
    if one.get_io_type() in SOUND:
        return SOUND[one.get_io_type()]
    if one.get_io_type() == "COMBO":
        return one.options[0] if one.options else "a.safetensors"
    if one.get_io_type() == "STRING":
        return "0"
    if "," in one.get_io_type():
        return SOUND[one.get_io_type().split(",")[0]]
    return getattr(one, "default", None) if getattr(one, "default", None) is not None else 1


def all_sound(node):
    listed = node.define_schema().is_input_list
    return {one.id: [sound(one)] if listed else sound(one) for one in node.define_schema().inputs}


def may_be_none(node):
    """Optional inputs without a widget."""
    return {one.id for one in node.define_schema().inputs if one.optional and one.get_io_type() in SOUND}


EVERY_INPUT = pytest.mark.parametrize(
    ("node", "one"), [pytest.param(NODES[node_id], one, id=f"{node_id}-{one.id}") for node_id, one in INPUTS]
)


def test_every_type_of_input_has_its_check():
    types = {io_type for _, one in INPUTS for io_type in one.get_io_type().split(",")}
    assert types <= CHECKS.keys() | SOCKETS.keys()
    assert all(issubclass(node, CheckedNode) for node in NODES.values()) and len(NODES) >= 30


@pytest.mark.parametrize("node_id", NODES)
def test_what_is_sound_passes(node_id):
    node = NODES[node_id]
    check_inputs(node, all_sound(node))


def refused(node, name, value, **others):
    """What is said of a value that a node is given for an input, with sound values for the rest."""
    listed = node.define_schema().is_input_list
    given = {**all_sound(node), name: [value] if listed else value, **others}
    with pytest.raises(ValueError, match=f"^{name}: ") as caught:
        node.execute(**given)
    said = str(caught.value)
    said.encode()
    assert len(said) < 1000 and said.endswith((".", ".\n"))
    return said


@EVERY_INPUT
def test_each_faulty_value_is_refused_by_name(node, one):
    faults = faulty(one, file=one.id in file_inputs(node))
    assert len(faults) >= 3
    for value in faults.values():
        refused(node, one.id, value)


@EVERY_INPUT
def test_null_is_refused_unless_it_leaves_an_input_out(node, one):
    if one.id in may_be_none(node):
        check_inputs(node, {**all_sound(node), one.id: None})
        return
    assert "null" in refused(node, one.id, None)


@pytest.mark.parametrize(
    ("node", "one"), [case for case in EVERY_INPUT.args[1] if case.values[0].define_schema().is_input_list]
)
def test_an_empty_list_is_refused(node, one):
    with pytest.raises(ValueError, match=f"^{one.id}: there are none, because its list is empty"):
        node.execute(**{**all_sound(node), one.id: []})


def test_the_range_is_told():
    one = io.Int.Input("columns", min=1, max=100)
    with pytest.raises(ValueError, match=r"^columns: 0 is below 1\. Set it from 1 to 100\.$"):
        CHECKS["INT"](one, 0)
    with pytest.raises(ValueError, match=r"^noise_seed: .* is above 1\.84467e\+19\. Set it to 0 or more\.$"):
        CHECKS["INT"](io.Int.Input("noise_seed", min=0, max=2**64 - 1), 2**70)
    with pytest.raises(ValueError, match=r"^values: .* is above 1e\+100\."):
        CHECKS["FLOAT"](io.Float.Input("values"), MOST_FLOAT * 10)

"""Everything of the host that the pack uses is there and is called as the host wants it: a host that moved one fails.

What is named in the code (modules, functions, classes, their calls) is found by reading the code. What is used of the
objects that the host hands over is listed here, with the modules that use it.
"""

import ast
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path

import comfy.clip_vision
import comfy.controlnet
import comfy.hooks
import comfy.lora
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.sd
import pytest
import torch
from helpers.paths import CHECKOUT
from helpers.sampling import picture, schedule
from helpers.weighted_flows import lora_hooks, with_lora
from standins.analytic import gaussian_model, guider
from standins.control import control_net
from standins.photomaker_host import sdxl_clip
from standins.weighted import KEY, weighted_model

MODEL_PATCHER = comfy.model_patcher.ModelPatcher
ROOMS = ("host", "identity", "faces", "drawing", "nodes")
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "node_helpers"}
FILES = [CHECKOUT / "__init__.py", *(path for room in ROOMS for path in sorted((CHECKOUT / room).rglob("*.py")))]


def resolved(dotted: str):
    """What a dotted name of the host's stands for. Raises ImportError or AttributeError where it is not there."""
    parts = dotted.split(".")
    found = importlib.import_module(parts[0])
    for count, part in enumerate(parts[1:], 2):
        if not hasattr(found, part) and inspect.ismodule(found):
            importlib.import_module(".".join(parts[:count]))
        found = getattr(found, part)
    return found


def dotted_name(node: ast.AST) -> list[str] | None:
    """["a", "b", "c"] of the expression a.b.c, None of any other."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (parts := dotted_name(node.value)):
        return [*parts, node.attr]
    return None


def of_the_host(tree: ast.Module) -> dict[str, str]:
    """The names in a module that stand for something of the host's, and for what."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in HOST:
                    names[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] in HOST:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def uses(path: Path):
    """(line, dotted name, call or None) of all that a file uses of the host."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = of_the_host(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names if alias.name.split(".")[0] in HOST)
        call = node if isinstance(node, ast.Call) else None
        parts = dotted_name(node.func if call else node)
        if parts and parts[0] in names:
            yield node.lineno, ".".join([names[parts[0]], *parts[1:]]), call


def fault_of_call(function, call: ast.Call) -> str | None:
    """What the host's function has against a call as it is written; None also where that shows only when it runs."""
    starred = any(isinstance(arg, ast.Starred) for arg in call.args) or any(k.arg is None for k in call.keywords)
    try:
        signature = inspect.signature(function)
        bind = signature.bind_partial if starred else signature.bind
        plain = [arg for arg in call.args if not isinstance(arg, ast.Starred)]
        bind(*plain, **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg})
    except TypeError as error:
        return str(error)
    except ValueError:  # a builtin has no signature
        return None
    return None


def faults_of(path: Path) -> list[str]:
    """What a file uses of the host that is not there, or not as it is used."""
    faults = []
    for line, dotted, call in uses(path):
        try:
            found = resolved(dotted)
            fault = fault_of_call(found, call) if call else None
        except (ImportError, AttributeError) as error:
            fault = str(error)
        if fault:
            faults.append(f"{path.name}:{line}: {dotted}: {fault}")
    return faults


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(CHECKOUT).as_posix() for path in FILES])
def test_every_name_of_the_host_is_there_and_called_as_it_wants(path):
    assert faults_of(path) == []


# CurveInput is in no version of the V3 API: the host's own curve nodes import it from there too.
API = {"comfy_api.v0_0_2", "comfy_api.input"}


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(CHECKOUT).as_posix() for path in FILES])
def test_the_v3_api_is_imported_by_its_version_and_is_the_latest_ones(path):
    """ComfyUI keeps a numbered version as it is, and `latest` moves on: here the two are the same objects."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [name for name in of_the_host(tree).values() if name.startswith("comfy_api.")]
    assert {name.rpartition(".")[0] for name in names} <= API
    for name in names:
        assert resolved(name) is resolved(name.replace("v0_0_2", "latest"))


def test_names_that_are_gone_and_calls_that_do_not_fit_are_found(tmp_path):
    """So that the test above can fail."""
    path = tmp_path / "uses.py"
    path.write_text(
        "import comfy.utils\nimport comfy.gone\nfrom comfy.sample import fix_empty_latent_channels as fix\n"
        "comfy.utils.vanished\nfix(1)\nfix(1, 2, nothing=3)\ncomfy.utils.ProgressBar(9)\nfix(*[1, 2])\n"
    )
    assert {int(fault.split(":")[1]) for fault in faults_of(path)} == {2, 4, 5, 6}


def loaded_patcher():
    """A MODEL with a LoRA, loaded."""
    patcher = with_lora(1)(weighted_model())
    comfy.model_management.load_models_gpu([patcher])
    return patcher


def entered_guider():
    """A guider as its sampler gets it, and all that goes with it."""

    class Peek(comfy.samplers.Sampler):
        def sample(self, model_wrap, sigmas, extra_args, callback, noise, *rest, **options):
            self.found = dict(vars(model_wrap)), extra_args
            return noise

    model, peek = gaussian_model(), Peek()
    latent = picture()["samples"]
    guider(model).sample(torch.zeros_like(latent), latent, peek, schedule(model))
    return peek.found


ATTRIBUTES = {
    # host/patched_models.py, host/shared_model.py, host/triple_flow_guider.py
    "a MODEL": (
        loaded_patcher,
        {"patches": dict, "backup": dict, "object_patches": dict, "weight_wrapper_patches": dict, "hook_patches": dict},
    ),
    # host/checks.py, host/control_family.py, host/gradients.py, host/null_text.py, host/inversion.py, identity/
    "a MODEL's options and devices": (
        loaded_patcher,
        {"model_options": dict, "load_device": torch.device, "offload_device": torch.device},
    ),
    "its model": (
        lambda: loaded_patcher().model,
        {
            "diffusion_model": torch.nn.Module,
            **dict.fromkeys(("latent_format", "model_sampling", "current_patcher"), object),
        },
    ),
    # host/stock_samplers.py
    "a KSAMPLER": (
        lambda: comfy.samplers.sampler_object("euler"),
        {"sampler_function": object, "extra_options": dict},
    ),
    # host/triple_flow_guider.py, host/triple_flow_model.py, host/shared_model.py, host/null_text_guider.py
    "a CFGGuider": (
        lambda: guider(gaussian_model()),
        {"original_conds": dict, "model_patcher": MODEL_PATCHER, "model_options": dict, "cfg": float},
    ),
    # host/clip_score.py
    "a CLIP": (
        sdxl_clip,
        {"cond_stage_model": torch.nn.Module, "patcher": MODEL_PATCHER, "tokenize": Callable, "clone": Callable},
    ),
    "one of its text encoders": (
        lambda: sdxl_clip().cond_stage_model.clip_g.transformer,
        {"text_projection": torch.nn.Linear, "text_model": torch.nn.Module},
    ),
    # host/copied_conds.py, host/control_family.py
    "a ControlNet": (
        control_net,
        {
            "multigpu_clones": dict,
            "control_model": torch.nn.Module,
            **dict.fromkeys(("previous_controlnet", "extra_hooks"), object),
        },
    ),
    "a HookGroup": (lambda: lora_hooks(1, (1.0, 0.0)), {"hooks": list}),
}


@pytest.mark.parametrize("what", ATTRIBUTES)
def test_what_the_host_hands_over_has_what_the_pack_looks_at(what):
    make, attributes = ATTRIBUTES[what]
    found = make()
    for name, kind in attributes.items():
        assert isinstance(getattr(found, name), kind), name


def test_an_entered_guider_has_what_the_pack_looks_at():
    found, extra_args = entered_guider()
    assert {"conds", "inner_model", "loaded_models", "model_patcher"} <= found.keys()
    assert isinstance(found["loaded_models"], list) and {"positive", "negative"} <= found["conds"].keys()
    assert extra_args.keys() == {"model_options", "seed"}


METHODS = {
    "host/patched_models.py": [
        (MODEL_PATCHER.is_clone, ["other"]),
        (MODEL_PATCHER.is_dynamic, []),
        (MODEL_PATCHER.inject_model, []),
        (MODEL_PATCHER.eject_model, []),
        (MODEL_PATCHER.unpatch_hooks, []),
        (MODEL_PATCHER.model_patches_to, ["device"]),
        (MODEL_PATCHER.model_dtype, []),
    ],
    "host/shared_model.py": [(MODEL_PATCHER.model_patches_models, [])],
    "host/triple_flow_model.py": [
        (MODEL_PATCHER.prepare_hook_patches_current_keyframe, ["t", "hook_group", "model_options"])
    ],
    "host/checks.py": [(MODEL_PATCHER.get_model_object, ["name"])],
    "host/triple_flow_guider.py": [
        (
            comfy.samplers.CFGGuider.sample,
            ["noise", "latent_image", "sampler", "sigmas", "denoise_mask", "callback", "disable_pbar", "seed"],
        )
    ],
    "host/entered.py": [
        (
            comfy.samplers.KSAMPLER.sample,
            ["model_wrap", "sigmas", "extra_args", "callback", "noise", "latent_image", "denoise_mask", "disable_pbar"],
        ),
        (comfy.samplers.CFGGuider.__call__, ["x", "sigma", "model_options=", "seed="]),
    ],
    "host/copied_conds.py": [
        (comfy.controlnet.ControlNet.copy, []),
        (comfy.hooks.HookGroup.clone, []),
        (comfy.hooks.HookKeyframeGroup.clone, []),
    ],
    "host/clip_score.py": [
        (comfy.sd.CLIP.encode_from_tokens, ["tokens", "return_pooled="]),
        (comfy.clip_vision.ClipVisionModel.encode_image, ["image"]),
    ],
    "host/inversion.py": [(comfy.model_base.BaseModel.process_latent_out, ["latent"])],
    "identity/": [
        (MODEL_PATCHER.clone, []),
        (MODEL_PATCHER.set_model_attn2_replace, ["patch", "block_name", "number", "transformer_index"]),
        (comfy.controlnet.ControlBase.control_merge, ["control", "control_prev", "output_dtype="]),
    ],
}


@pytest.mark.parametrize("user", METHODS)
def test_methods_take_what_the_pack_gives(user):
    """In its order; those with an equals sign by their names."""
    for method, given in METHODS[user]:
        signature = inspect.signature(method)
        by_name = {name.removesuffix("="): None for name in given if name.endswith("=")}
        in_order = [name for name in given if not name.endswith("=")]
        signature.bind("self", *in_order, **by_name)
        if "args" not in signature.parameters:  # a method that says what it takes
            assert list(signature.parameters)[1 : len(in_order) + 1] == in_order, method


def test_a_patched_weight_is_backed_up_under_its_key_and_a_patch_decides_what_it_becomes():
    """What host/patched_models.py builds on: see its first lines."""
    patcher = loaded_patcher()
    kept = patcher.backup[KEY]
    assert kept.inplace_update is False and patcher.model.current_weight_patches_uuid == patcher.patches_uuid
    weight, set_function, convert_function = comfy.model_patcher.get_key_weight(patcher.model, KEY)
    assert set_function is None and convert_function is None
    assert not torch.equal(weight, kept.weight) and patcher.clone().backup is patcher.backup
    result, received = torch.full_like(weight, 7.0), []

    class Given(comfy.model_patcher.comfy.lora.weight_adapter.WeightAdapterBase):
        name = "given"

        def calculate_weight(self, *args, **kwargs):
            received.append((args, kwargs))
            return result

    other = patcher.clone()
    other.patches, other.patches_uuid = {KEY: [(1.0, Given(), 1.0, None, None)]}, "another"
    comfy.model_management.load_models_gpu([other])
    (((given, key, *_), _),) = received
    assert key == KEY and given.shape == weight.shape
    assert comfy.model_patcher.get_key_weight(other.model, KEY)[0].data_ptr() == result.data_ptr()
    comfy.model_management.unload_all_models()
    assert torch.equal(comfy.model_patcher.get_key_weight(other.model, KEY)[0], kept.weight)

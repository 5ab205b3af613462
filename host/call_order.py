"""Guiders whose answer depends on the calls before it: an inversion walks up the schedule, sampling walks down."""

from collections.abc import Callable, Iterator

import comfy.hooks
import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor

from ..resinversion import Recording, to_d
from .triple_flow_guider import TripleFlowGuider

# Modules of guiders and ControlNets that keep nothing from call to call: the host's and this pack's.
PACK = __package__.rpartition(".")[0]
STATELESS = ("comfy", "comfy_extras", PACK)
# Under this name the host's EasyCache and LazyCache (comfy_extras/nodes_easycache.py, 0.30) keep what they reuse.
MODEL_CACHE = "easycache"
# Up to which fraction of the greatest prediction two answers count as the same: far below what shows in a picture.
SAME = 1e-5


def follows_keyframes(guider) -> bool:
    """Whether a GUIDER's conditioning has hook keyframes: they follow falling sigmas, and are never taken back."""
    return any(has_keyframes(cond) for flow in _flows(guider) for cond in _conds(flow))


def may_keep_state(guider) -> bool:
    """Whether something in a GUIDER that this pack does not know could keep state from call to call.

    True for a guider or a ControlNet of another pack, and for functions that nodes have put into the MODEL's options
    (guidance functions, patches, wrappers): one that keeps a running average, such as APG's momentum, looks like one
    that keeps nothing, such as FreeU's. False is certain: loaders, prompts, LoRAs, ControlNets, areas and hooked LoRAs
    alone, and this pack's own patches.
    """
    return any(_is_unknown(flow) for flow in _flows(guider))


def check_no_model_cache(guider, source: str = "guider") -> None:
    """Raise ValueError if a GUIDER's MODEL reuses earlier answers of its network: going up, there are none to reuse.

    source: the input that the guider came from, or "model" where the guider was made of a MODEL, for the message.
    """
    for flow in _flows(guider):
        if MODEL_CACHE in _options(flow).get("transformer_options", {}):
            raise ValueError(
                f"{source}: EasyCache or LazyCache is on its MODEL, and cannot follow an inversion: it works on the "
                "forward flow only. Connect the MODEL from before the cache here."
            )


def check_no_keyframes(guider) -> None:
    """Raise ValueError if the conditioning of a GUIDER has hook keyframes, naming positive or negative."""
    for name, group in guider.original_conds.items():
        if any(map(has_keyframes, group)):
            raise ValueError(
                f"{name}: has hook keyframes, which null texts cannot be optimised for. Remove Set Hook Keyframes; "
                "ResInversion follows them."
            )


def controls_of(cond: dict) -> Iterator:
    """The ControlNets of a cond, the last one applied first."""
    control = cond.get("control")
    while control is not None:
        yield control
        control = control.previous_controlnet


def has_keyframes(cond: dict) -> bool:
    """Whether a hook of a cond, or of its ControlNets, has more than one keyframe."""
    return any(len(hook.hook_keyframe.keyframes) > 1 for hook in _hooks(cond))


def spread_steps(steps: int) -> list[int]:
    """Which steps i of 1 .. N to ask again, in sampling's order: the one after the noisiest, a middle one, the last."""
    return sorted({max(i, 1) for i in (steps - 1, steps // 2, 1)}, reverse=True)


def answers_alike(
    predict: Callable[[Tensor, Tensor], Tensor],
    recording: Recording,
    steps: list[int],
    device: torch.device,
    tolerance: float = SAME,
) -> bool:
    """Whether a model predicts again, at the anchors of these steps, what was recorded there.

    predict: `model(x, sigma) -> denoised`, with x and sigma on `device`. steps: i of 1 .. N, in the order in which to
    ask; all of them are asked, so that what comes next meets the state that a way down leaves behind. tolerance: as a
    fraction of the greatest prediction.
    """
    alike, limit = True, tolerance * recording.predictions.abs().max()
    for i in steps:
        comfy.model_management.throw_exception_if_processing_interrupted()
        x, sigma = recording.anchors[i].to(device), recording.sigmas[i].to(device)
        eps = to_d(x, sigma, predict(x, sigma * x.new_ones([x.shape[0]])))
        distance = (eps.to(recording.predictions) - recording.predictions[i - 1]).abs().max()
        alike = alike and bool(distance <= limit)
    return alike


def _flows(guider) -> Iterator:
    if isinstance(guider, TripleFlowGuider):
        yield from _flows(guider.pivot_flow)
        yield from _flows(guider.forward_flow)
    else:
        yield guider


def _options(guider) -> dict:
    return getattr(guider, "model_options", guider.model_patcher.model_options)


def _conds(guider) -> Iterator[dict]:
    for group in getattr(guider, "original_conds", {}).values():
        yield from group


def _hooks(cond: dict) -> list:
    groups = [cond.get("hooks"), *(control.extra_hooks for control in controls_of(cond))]
    return [hook for group in groups if group is not None for hook in group.hooks]


def _is_unknown(guider) -> bool:
    model = guider.model_patcher
    put_in = (_options(guider), model.wrappers, model.injections)
    objects = [key for key in model.object_patches if key != "model_sampling"]
    return (
        _is_foreign(type(guider))
        or not isinstance(guider, comfy.samplers.CFGGuider)
        or bool(objects)
        or any(map(_holds_foreign_code, put_in))
        or any(_is_foreign(type(control)) for cond in _conds(guider) for control in controls_of(cond))
        or any(not isinstance(hook, comfy.hooks.WeightHook) for cond in _conds(guider) for hook in _hooks(cond))
    )


def _is_foreign(cls: type) -> bool:
    return not any(cls.__module__ == name or cls.__module__.startswith(f"{name}.") for name in STATELESS)


def _holds_foreign_code(value) -> bool:
    """Whether dicts, lists and tuples hold, at any depth, something callable that is not this pack's own."""
    if isinstance(value, dict):
        return any(map(_holds_foreign_code, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_foreign_code, value))
    if not callable(value):
        return False
    module = getattr(value, "__module__", None) or ""
    # A patch of this pack may call the one that was there before.
    return not module.startswith(f"{PACK}.") or _holds_foreign_code(getattr(value, "earlier", None))

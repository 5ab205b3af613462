"""Conditioning that keeps the state of one sampling to itself: hook keyframes and ControlNets of its own."""

import copy


def own_conds(conds: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """Copy a guider's conds so that another guider with the same conditioning can be entered beside it.

    A hook's keyframes know the step that was reached, a ControlNet the model that it was prepared for (a Control-LoRA
    even borrows its weights). conds: as in CFGGuider.original_conds; what is shared within them stays shared.
    """
    copies = {}
    return {name: [_own_cond(cond, copies) for cond in group] for name, group in conds.items()}


def _own_cond(cond: dict, copies: dict) -> dict:
    cond = cond.copy()
    if cond.get("hooks") is not None:
        cond["hooks"] = _own(cond["hooks"], copies, _own_hooks)
    if cond.get("control") is not None:
        cond["control"] = _own(cond["control"], copies, _own_control)
    return cond


def _own(original, copies: dict, make):
    if id(original) not in copies:
        copies[id(original)] = make(original, copies)
    return copies[id(original)]


def _own_hooks(hooks, copies: dict):
    own = hooks.clone()
    for hook in own.hooks:
        hook.hook_keyframe = _own(hook.hook_keyframe, copies, lambda keyframes, _: keyframes.clone())
    return own


def _own_control(control, copies: dict):
    own = copy.copy(control)
    if control.previous_controlnet is not None:
        own.previous_controlnet = _own(control.previous_controlnet, copies, _own_control)
    if control.extra_hooks is not None:
        own.extra_hooks = _own(control.extra_hooks, copies, _own_hooks)
    return own

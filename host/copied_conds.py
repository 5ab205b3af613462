"""Copies of conditioning that keep the state of one sampling to themselves: hook keyframes and ControlNets."""

import copy


def copy_conds(conds: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """Copy a guider's conds so that another guider with the same conditioning can be entered beside it.

    A hook's keyframes know the step that was reached, a ControlNet the model that it was prepared for (a Control-LoRA
    even borrows its weights). conds: as in CFGGuider.original_conds; what is shared within them stays shared.
    """
    copies = {}
    return {name: [_copy_cond(cond, copies) for cond in group] for name, group in conds.items()}


def _copy_cond(cond: dict, copies: dict) -> dict:
    cond = cond.copy()
    if cond.get("hooks") is not None:
        cond["hooks"] = _copy_once(cond["hooks"], copies, _copy_hooks)
    if cond.get("control") is not None:
        cond["control"] = _copy_once(cond["control"], copies, _copy_control)
    return cond


def _copy_once(original, copies: dict, make):
    if id(original) not in copies:
        copies[id(original)] = make(original, copies)
    return copies[id(original)]


def _copy_hooks(hooks, copies: dict):
    copied = hooks.clone()
    for hook in copied.hooks:
        hook.hook_keyframe = _copy_once(hook.hook_keyframe, copies, lambda keyframes, _: keyframes.clone())
    return copied


def _copy_control(control, copies: dict):
    copied = _fresh_copy(control)
    if control.previous_controlnet is not None:
        copied.previous_controlnet = _copy_once(control.previous_controlnet, copies, _copy_control)
    if control.extra_hooks is not None:
        copied.extra_hooks = _copy_once(control.extra_hooks, copies, _copy_hooks)
    return copied


def _fresh_copy(control):
    """A copy of a ControlNet by its own `copy`, which the host's apply nodes use: settings kept, caches empty.

    A class without one, or with its parent's, is copied as it is. From both come what others have set on the instance,
    such as functions in the place of its methods, and the clones on further GPUs, which would be made anew for each
    sampling.
    """
    copied = control.copy() if hasattr(control, "copy") else None
    if type(copied) is not type(control):
        return copy.copy(control)
    for name in vars(control).keys() - vars(copied).keys():
        setattr(copied, name, getattr(control, name))
    copied.multigpu_clones = control.multigpu_clones
    return copied

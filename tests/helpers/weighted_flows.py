"""Flows over one set of weights that each patches in its own way; see standins/weighted.py."""

import comfy.hooks
import comfy.samplers
import comfy.sd
from comfy_extras.nodes_hooks import CreateHookKeyframe, SetHookKeyframes
from standins.weighted import conds, lora

# Of the Gaussians that the two flows' prompts name.
PIVOT_MEAN, FORWARD_MEAN = 0.5, -1.0


def with_lora(seed):
    """A function that puts a LoRA on a MODEL."""
    return lambda model: comfy.sd.load_lora_for_models(model, None, lora(seed), 1.0, 0.0)[0]


def logged_flow(logged, name, model, mean):
    """A CFGGuider whose calls are logged. logged: of standins.weighted.call_log."""
    flow = comfy.samplers.CFGGuider(model)
    flow.set_conds(*conds(mean))
    flow.set_cfg(3.0)
    return logged(flow, name)


def lora_hooks(seed, *keyframes):
    """A LoRA as hooks, as CreateHookLora and SetHookKeyframes make them; keyframes: (strength, start_percent)."""
    group = comfy.hooks.create_hook_lora(lora(seed), 1.0, 0.0)
    schedule = None
    for strength, start in keyframes:
        (schedule,) = CreateHookKeyframe().create_hook_keyframe(strength, start, schedule)
    return SetHookKeyframes().set_hook_keyframes(group, schedule)[0] if keyframes else group

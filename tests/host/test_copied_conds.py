"""The conditioning of one sampling: copies that keep its state to themselves and share what the originals share."""

import comfy.controlnet
import comfy.samplers
import pytest
import torch
from customenhancer.host.copied_conds import copy_conds
from helpers.weighted_flows import lora_hooks
from standins.control import MODULES, control_net

KEYFRAMES = [(0.2, 0.0), (0.7, 0.1), (1.0, 0.6)]


def test_own_conds_are_copies_that_share_what_the_originals_share():
    first, second = (comfy.controlnet.ControlBase() for _ in range(2))
    second.set_previous_controlnet(first)
    group, extra = lora_hooks(1, *KEYFRAMES), lora_hooks(2, *KEYFRAMES)
    first.extra_hooks = extra
    original = {
        "positive": [{"control": second, "hooks": group, "uuid": 1}, {"hooks": group}],
        "negative": [{"control": second, "hooks": None}, {"control": first}],
    }
    own = copy_conds(original)
    (one, other), (negative, last) = own["positive"], own["negative"]
    assert one["control"] is negative["control"] and one["control"].previous_controlnet is last["control"]
    assert one["hooks"] is other["hooks"] and one["uuid"] == 1 and negative["hooks"] is None
    copies = [one["control"], last["control"], one["hooks"], last["control"].extra_hooks]
    for mine, theirs in zip(copies, (second, first, group, extra), strict=True):
        assert mine is not theirs and type(mine) is type(theirs)
    for mine, theirs in zip((one["hooks"], last["control"].extra_hooks), (group, extra), strict=True):
        assert mine.hooks == theirs.hooks and mine.hooks[0].hook_keyframe is not theirs.hooks[0].hook_keyframe
        assert len(mine.hooks[0].hook_keyframe.keyframes) == len(KEYFRAMES)
    assert second.previous_controlnet is first and first.extra_hooks is extra


def copied(control):
    """One ControlNet's copy."""
    return copy_conds({"positive": [{"control": control}]})["positive"][0]["control"]


@pytest.mark.parametrize("kind", MODULES)
def test_every_kind_of_module_is_copied_with_its_settings_and_without_its_caches(kind):
    control = MODULES[kind]()
    control.set_cond_hint(torch.rand(1, 3, 64, 64), 0.7, (0.1, 0.9))
    control.set_extra_arg("some", 1)
    control.cond_hint, control.timestep_range = torch.rand(2, 3, 64, 64), (5.0, 1.0)
    own = copied(control)
    assert own is not control and type(own) is type(control)
    assert own.cond_hint is None and own.timestep_range is None
    caches = {"cond_hint", "timestep_range", "model_sampling_current", "control_input"}
    for name in vars(control).keys() - caches:
        mine, theirs = getattr(own, name), getattr(control, name)
        assert mine is theirs or mine == theirs, name
    assert own.extra_args is not control.extra_args and own.get_models() == control.get_models()


class DictCachingControlNet(comfy.controlnet.ControlNet):
    """A ControlNet as newer hosts may have it, whose caches are dicts."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cond_hints, self.control_inputs = {}, {}

    def copy(self):
        """As the host's classes copy themselves."""
        copy = DictCachingControlNet(None, load_device=self.load_device)
        copy.control_model, copy.control_model_wrapped = self.control_model, self.control_model_wrapped
        self.copy_to(copy)
        return copy


def test_caches_that_are_dicts_are_not_shared_but_the_clones_on_other_devices_are():
    control = control_net()
    control.__class__ = DictCachingControlNet
    control.cond_hints, control.control_inputs = {0: "hint"}, {0: "input"}
    control.multigpu_clones = {torch.device("meta"): control_net()}
    own = copied(control)
    assert own.cond_hints == own.control_inputs == {} and control.cond_hints == {0: "hint"}
    assert own.multigpu_clones is control.multigpu_clones


def test_what_others_set_on_a_control_net_goes_with_it():
    control = control_net()
    control.get_control = control.mark = lambda *args: "by another pack"
    own = copied(control)
    assert own.get_control() == "by another pack" and own.mark is control.mark


def test_a_class_with_its_parents_copy_is_copied_as_it_is():
    class Inheriting(comfy.controlnet.ControlNet):
        scale = 1.0

    control = control_net()
    control.__class__, control.scale = Inheriting, 2.0
    own = copied(control)
    assert type(own) is Inheriting and own is not control and own.scale == 2.0

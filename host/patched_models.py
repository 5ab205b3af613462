"""What this pack knows of how the host puts a MODEL's patches into the model that it shares with its clones.

Read from ComfyUI 0.30.0 (comfy/model_patcher.py, comfy/model_management.py, comfy/lora.py), the same in 0.33.0. A MODEL
is a ModelPatcher around a model. Of its clones one is loaded: its weight patches (LoRAs) and object patches are in the
model, the weights that it replaced in `backup`, which all clones share. A guider that samples puts in more: hooks,
injections, and its patch objects on the load device.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher, get_key_weight
from comfy.weight_adapter import WeightAdapterBase
from torch import Tensor


def loaded_clone(patcher: ModelPatcher) -> ModelPatcher | None:
    """The MODEL that the host has loaded into the model of `patcher`, or None."""
    loaded = comfy.model_management.loaded_models()
    return next((model for model in loaded if model is not None and model.is_clone(patcher)), None)


def second_models(guider) -> list[ModelPatcher]:
    """The MODELs of their own weights among a guider's attributes, besides its first, that are loaded."""
    loaded, first = comfy.model_management.loaded_models(), guider.model_patcher
    models = [value for value in getattr(guider, "__dict__", {}).values() if isinstance(value, ModelPatcher)]
    return [m for m in models if m in loaded and not m.is_clone(first) and hasattr(m.model, "current_patcher")]


def same_weights(one: ModelPatcher, other: ModelPatcher) -> bool:
    """Whether two clones patch weights and objects alike. Their uuids do not tell: registering hooks changes them."""
    return one is other or all(
        _same_items(getattr(one, patches), getattr(other, patches))
        for patches in ("patches", "weight_wrapper_patches", "object_patches")
    )


def _same_items(one, other) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_items(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_items, one, other))
    return one is other


def hand_over(loaded: ModelPatcher, patcher: ModelPatcher) -> None:
    """Let `patcher` run in the weights that its clone `loaded` has loaded."""
    active = patcher.model.current_patcher or loaded
    if active is patcher:
        return
    take_back(active)
    _move_patches(patcher, patcher.load_device)
    patcher.inject_model()
    patcher.model.current_patcher = patcher


def take_back(patcher: ModelPatcher | None) -> None:
    """Undo what a MODEL that was called has put in place beyond weight and object patches: hooks and injections."""
    if patcher is not None:
        patcher.unpatch_hooks()
        patcher.eject_model()


def leave_to_the_host(clones: list[ModelPatcher]) -> None:
    """To the host one clone is loaded, the others are detached; some patch objects may belong to several."""
    loaded = loaded_clone(clones[0])
    if loaded is not None:
        hand_over(loaded, loaded)
    for patcher in clones:
        if patcher is not loaded:
            _move_patches(patcher, patcher.offload_device)
    if loaded is not None:
        _move_patches(loaded, loaded.load_device)


def _move_patches(patcher: ModelPatcher, device) -> None:
    patcher.model_patches_to(device)
    patcher.model_patches_to(patcher.model_dtype())


def patched_weights(patcher: ModelPatcher) -> dict[str, Tensor]:
    """The weights of a loaded MODEL, its hooks not applied, that are to the bit what its patches made of them, by key.

    Left out are weights that the host patches at each call, that it copies, converts or rounds by chance once they are
    patched (of eight bits or fewer), and all of a MODEL that is loaded dynamically, whose patches work on the way in.
    """
    if patcher.is_dynamic() or patcher.model.current_weight_patches_uuid != patcher.patches_uuid:
        return {}
    found = {}
    for key in patcher.backup.keys() & patcher.patches.keys():
        weight, set_function, convert_function = get_key_weight(patcher.model, key)
        plain = type(weight) is torch.nn.Parameter and weight.is_floating_point() and weight.itemsize >= 2
        if plain and set_function is None and convert_function is None and not patcher.backup[key].inplace_update:
            found[key] = weight.detach()
    return found


@contextmanager
def in_place_of_patches(patcher: ModelPatcher, weights: dict[str, Tensor]) -> Iterator[None]:
    """While entered, the host that loads the MODEL takes these weights where its patches would compute them.

    weights: by key, some of what `patched_weights` found when it was loaded before.
    """
    patches = {key: patcher.patches[key] for key in weights}
    # The dict stays the same: weights that are patched at each call look their patches up there later on.
    patcher.patches.update({key: [(1.0, _Computed(weight), 1.0, None, None)] for key, weight in weights.items()})
    try:
        yield
    finally:
        patcher.patches.update(patches)


class _Computed(WeightAdapterBase):
    """A weight patch as the host knows them, whose result is there already."""

    name = "computed"

    def __init__(self, weight: Tensor):
        self.weight = weight

    def calculate_weight(self, weight, key, *args, **kwargs):
        return self.weight.to(weight.device)

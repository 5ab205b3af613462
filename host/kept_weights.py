"""The patched weights of MODELs that share one model, kept while another one's are in place."""

from contextlib import contextmanager

import comfy.model_management
import torch
from comfy.model_patcher import get_key_weight
from comfy.weight_adapter import WeightAdapterBase


class KeptWeights:
    """Spares MODELs that take turns in one set of weights from being patched at each turn.

    What a LoRA made of a weight is kept, on the MODEL's offload device, when the host takes it out, and handed to the
    host in the patches' place when it patches that weight again: bit by bit the same, without the arithmetic. Kept are
    weights that the host has patched in place, in 16 bits or more; it computes the others anew, as without this. Where
    memory is short nothing is kept.

    It holds no more than one sampling needs: drop it afterwards.
    """

    def __init__(self):
        self._kept = []  # (MODEL, {key: weight})

    def keep(self, patcher) -> None:
        """Keep the patched weights of the MODEL that the host has loaded, its hooks not applied."""
        if self._find(patcher) or patcher.model.current_weight_patches_uuid != patcher.patches_uuid:
            return
        weights = {key: weight for key in patcher.backup if (weight := _kept_as_it_is(patcher, key)) is not None}
        device, size = patcher.offload_device, sum(weight.nbytes for weight in weights.values())
        free = comfy.model_management.get_free_memory(device) - comfy.model_management.minimum_inference_memory()
        if weights and size <= free:
            self._kept.append((patcher, {key: weight.to(device) for key, weight in weights.items()}))

    @contextmanager
    def in_place_of_patches(self, patcher):
        """While entered, the host takes what was kept of a MODEL where its patches would compute it."""
        kept = self._find(patcher)
        patches = {key: patcher.patches[key] for key in kept}
        # The dict stays the same: weights that are patched at each call look their patches up there later on.
        patcher.patches.update({key: [(1.0, _Kept(weight), 1.0, None, None)] for key, weight in kept.items()})
        try:
            yield
        finally:
            patcher.patches.update(patches)

    def _find(self, patcher) -> dict:
        return next((weights for owner, weights in self._kept if same_weights(owner, patcher)), {})


class _Kept(WeightAdapterBase):
    """A patch as the host knows them, that puts a weight in place."""

    name = "kept"

    def __init__(self, weight):
        self.weight = weight

    def calculate_weight(self, weight, key, *args, **kwargs):
        return self.weight.to(weight.device)


def _kept_as_it_is(patcher, key: str):
    """A weight that the host sets to what a patch returns, without copying, converting or rounding; None for others."""
    weight, set_function, convert_function = get_key_weight(patcher.model, key)
    plain = type(weight) is torch.nn.Parameter and weight.is_floating_point() and weight.itemsize >= 2
    replaced = set_function is None and convert_function is None and not patcher.backup[key].inplace_update
    return weight.detach() if plain and replaced else None


def same_weights(one, other) -> bool:
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

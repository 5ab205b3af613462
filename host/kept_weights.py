"""The patched weights of MODELs that share one model, kept while another one's are in place."""

from contextlib import AbstractContextManager

import comfy.model_management

from .patched_models import in_place_of_patches, patched_weights, same_weights


class KeptWeights:
    """Spares MODELs that take turns in one model from being patched at each turn.

    What a LoRA made of a weight is kept, on the MODEL's offload device, when the host takes it out, and handed to the
    host in the patches' place when it patches that weight again: to the bit the same, without the arithmetic. It takes
    the room that those weights take. Where memory is short nothing is kept, and the host computes them anew.

    Made for one sampling and dropped with it.
    """

    def __init__(self):
        self._kept = []  # (MODEL, {key: weight})

    def keep(self, patcher) -> None:
        """Keep the patched weights of the MODEL that the host has loaded, its hooks not applied."""
        if self._find(patcher):
            return
        weights, device = patched_weights(patcher), patcher.offload_device
        free = comfy.model_management.get_free_memory(device) - comfy.model_management.minimum_inference_memory()
        if weights and sum(weight.nbytes for weight in weights.values()) <= free:
            self._kept.append((patcher, {key: weight.to(device) for key, weight in weights.items()}))

    def put_back(self, patcher) -> AbstractContextManager[None]:
        """A context in which the host, when it loads the MODEL, takes what was kept of it."""
        return in_place_of_patches(patcher, self._find(patcher))

    def _find(self, patcher) -> dict:
        return next((weights for owner, weights in self._kept if same_weights(owner, patcher)), {})

"""Two entered guiders that use one model: before each call it is made whole for the guider that is called."""

from contextlib import ExitStack
from itertools import chain

import comfy.model_management
import comfy.sampler_helpers

from .kept_weights import KeptWeights
from .patched_models import hand_over, leave_to_the_host, loaded_clone, same_weights, second_models, take_back


class SharedModel:
    """Prepares a model that two entered guiders share for the one about to be called; leaves it as the host expects.

    Two MODELs are often clones: one set of weights, patched in place by each in its own way. Entering the inner
    (forward) guider makes the host load its MODEL and detach the outer's, although the outer is still in use: it puts
    other weight and object patches in place, ejects the outer's injections and moves its patch objects to the offload
    device. `set_up_for` brings all of that back. Where the clones differ in weight or object patches the host itself
    loads the other one, which is exact; what the patches make of the weights is computed once and kept, if memory
    allows (KeptWeights). Else the loaded weights serve both.

    A guider may have a second MODEL in use, as the host's DualModelGuider has; it is looked after likewise, unless it
    is a clone of the guider's first, which the host runs in that one's weights.

    Made when the pivot guider is entered, before the forward guider is; a context once that one is entered, too.

    pivot_guider: as its sampler gets it. latent_shape: (B, C, H, W), from which the host estimates the memory that
    sampling takes. kept_weights: a KeptWeights for this sampling.
    """

    def __init__(self, pivot_guider, latent_shape, kept_weights: KeptWeights):
        self._pivot_guider, self._forward_guider = pivot_guider, None
        # Where both use one MODEL object, entering the forward guider drops what the pivot guider registered there.
        self._pivot_hook_patches = pivot_guider.model_patcher.hook_patches
        self._latent_shape = latent_shape
        self._kept_weights = kept_weights
        self._second_models = {id(pivot_guider): second_models(pivot_guider)}

    def expect(self, forward_patcher) -> None:
        """Call before the forward guider, whose MODEL this is, is entered: that takes the pivot's weights out."""
        self._keep_what_is_replaced_by(forward_patcher)

    def joined_by(self, forward_guider) -> "SharedModel":
        """Call when the forward guider has been entered, as its sampler gets it."""
        self._forward_guider = forward_guider
        self._second_models[id(forward_guider)] = second_models(forward_guider)
        self._forward_hook_patches = forward_guider.model_patcher.hook_patches
        return self

    def __enter__(self):
        pivot, forward = self._pivot_guider.model_patcher, self._forward_guider.model_patcher
        if pivot is forward:
            pivot.hook_patches = {**self._pivot_hook_patches, **self._forward_hook_patches}
        return self

    def set_up_for(self, guider) -> None:
        """Give the model to one of the two guiders; nothing happens where that one has it already."""
        patcher, others = guider.model_patcher, self._other_models(guider)
        clone, loaded = loaded_clone(patcher), comfy.model_management.loaded_models()
        # The others may be gone, too: where memory is short, the host makes room for the other guider's.
        if clone is not None and same_weights(clone, patcher) and all(model in loaded for model in others):
            hand_over(clone, patcher)
            return
        models = [patcher, *self._second_models[id(guider)]]
        for model in models:
            take_back(model.model.current_patcher)
            self._keep_what_is_replaced_by(model)
        with ExitStack() as stack:
            for model in models:
                stack.enter_context(self._kept_weights.put_back(model))
            self._load(guider)
        for model in models:
            model.model.current_patcher = model

    def __exit__(self, *exception):
        pivot, forward = self._pivot_guider.model_patcher, self._forward_guider.model_patcher
        if pivot is forward:
            pivot.hook_patches = self._forward_hook_patches
        models = dict.fromkeys([pivot, forward, *chain.from_iterable(self._second_models.values())])
        for model in models:
            clones = [other for other in models if other.is_clone(model)]
            if len(clones) > 1 and model is clones[0]:
                leave_to_the_host(clones)

    def _keep_what_is_replaced_by(self, patcher) -> None:
        loaded = loaded_clone(patcher)
        if loaded is not None and not same_weights(loaded, patcher):
            self._kept_weights.keep(loaded)

    def _other_models(self, guider) -> list:
        """The MODELs a guider needs beside its own: in its attention patches, ControlNets and the like, its second."""
        needed = [*guider.model_patcher.model_patches_models(), *getattr(guider, "loaded_models", [])]
        return needed + [model for model in self._second_models[id(guider)] if model not in needed]

    def _load(self, guider) -> None:
        """Load what one guider needs, and what can be loaded beside it of the other's, as the host does."""
        other = self._forward_guider if guider is self._pivot_guider else self._pivot_guider
        models = [guider.model_patcher, *self._other_models(guider)]
        beside = [other.model_patcher, *self._other_models(other)]
        models += [model for model in beside if not any(map(model.is_clone, models))]
        patcher, conds = guider.model_patcher, getattr(guider, "conds", {})  # only the host's guiders keep conds
        _, control_memory = comfy.sampler_helpers.get_additional_models(conds, patcher.model_dtype())
        required, minimum = comfy.sampler_helpers.estimate_memory(patcher, self._latent_shape, conds)
        comfy.model_management.load_models_gpu(
            models,
            memory_required=required + control_memory,
            minimum_memory_required=minimum + control_memory,
        )

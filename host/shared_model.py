"""Two entered guiders that use one model: before each call it is made whole for the guider that is called."""

import comfy.model_management
import comfy.sampler_helpers


class SharedModel:
    """Prepares a model that two entered guiders share for the one about to be called; leaves it as the host expects.

    Two MODELs are often clones: one set of weights, patched in place by each in its own way. Entering the inner
    (forward) guider makes the host load its MODEL and detach the outer's, although the outer is still in use: it puts
    other weight and object patches in place, ejects the outer's injections and moves its patch objects to the offload
    device. `set_up_for` brings all of that back. Where the clones differ in weight or object patches the host itself
    loads the other one, which is exact and takes what loading a LoRA takes; else the loaded weights serve both.

    pivot_guider, forward_guider: as their samplers get them, entered in this order.
    pivot_hook_patches: the `hook_patches` of the pivot's MODEL before the forward guider was entered. Where both use
    one MODEL object, entering drops what the outer guider registered there.
    latent_shape: (B, C, H, W), from which the host estimates the memory that sampling takes.
    """

    def __init__(self, pivot_guider, forward_guider, pivot_hook_patches: dict, latent_shape):
        self._pivot_guider, self._forward_guider = pivot_guider, forward_guider
        self._pivot, self._forward = pivot_guider.model_patcher, forward_guider.model_patcher
        self._pivot_hook_patches = pivot_hook_patches
        self._forward_hook_patches = self._forward.hook_patches
        self._latent_shape = latent_shape

    def __enter__(self):
        if self._pivot is self._forward:
            self._pivot.hook_patches = {**self._pivot_hook_patches, **self._forward_hook_patches}
        return self

    def set_up_for(self, guider) -> None:
        """Give the model to one of the two guiders; nothing happens where that one has it already."""
        patcher, others = guider.model_patcher, _other_models(guider)
        clone, loaded = _loaded_clone(patcher), comfy.model_management.loaded_models()
        # The others may be gone, too: where memory is short, the host makes room for the other guider's.
        if clone is not None and _same_weights(clone, patcher) and all(model in loaded for model in others):
            self._hand_over(clone, patcher)
            return
        _take_back(patcher.model.current_patcher)
        self._load(guider)
        patcher.model.current_patcher = patcher

    def __exit__(self, *exception):
        if self._pivot is self._forward:
            self._pivot.hook_patches = self._forward_hook_patches
        elif self._pivot.is_clone(self._forward):
            # One clone is loaded to the host, the others are detached; some patch objects may belong to several.
            loaded = _loaded_clone(self._pivot)
            if loaded is not None:
                self._hand_over(loaded, loaded)
            for patcher in (self._pivot, self._forward):
                if patcher is not loaded:
                    _move_patches(patcher, patcher.offload_device)
            if loaded is not None:
                _move_patches(loaded, loaded.load_device)

    def _hand_over(self, loaded, patcher) -> None:
        """Let `patcher` run in the weights that its clone `loaded` has loaded."""
        active = patcher.model.current_patcher or loaded
        if active is patcher:
            return
        _take_back(active)
        _move_patches(patcher, patcher.load_device)
        patcher.inject_model()
        patcher.model.current_patcher = patcher

    def _load(self, guider) -> None:
        """Load what one guider needs, and what can be loaded beside it of the other's, as the host does."""
        other = self._forward_guider if guider is self._pivot_guider else self._pivot_guider
        models = [guider.model_patcher, *_other_models(guider)]
        beside = [other.model_patcher, *_other_models(other)]
        models += [model for model in beside if not any(map(model.is_clone, models))]
        patcher, conds = guider.model_patcher, getattr(guider, "conds", {})  # only the host's guiders keep conds
        _, control_memory = comfy.sampler_helpers.get_additional_models(conds, patcher.model_dtype())
        required, minimum = comfy.sampler_helpers.estimate_memory(patcher, self._latent_shape, conds)
        comfy.model_management.load_models_gpu(
            models,
            memory_required=required + control_memory,
            minimum_memory_required=minimum + control_memory,
        )


def _other_models(guider) -> list:
    """The MODELs that a guider needs beside its own: those in its attention patches, ControlNets and their like."""
    return [*guider.model_patcher.model_patches_models(), *getattr(guider, "loaded_models", [])]


def _loaded_clone(patcher):
    """The MODEL that the host has loaded into the model of `patcher`, or None."""
    loaded = comfy.model_management.loaded_models()
    return next((model for model in loaded if model is not None and model.is_clone(patcher)), None)


def _same_weights(one, other) -> bool:
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


def _take_back(patcher) -> None:
    """Undo what a MODEL that was called has put in place beyond weight and object patches: hooks and injections."""
    if patcher is not None:
        patcher.unpatch_hooks()
        patcher.eject_model()


def _move_patches(patcher, device) -> None:
    patcher.model_patches_to(device)
    patcher.model_patches_to(patcher.model_dtype())

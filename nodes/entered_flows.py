"""Two guiders entered at once: keeps what each of them had loaded and patched in place while the other is there too."""

import comfy.model_management


def check_same_weights(pivot_patcher, forward_patcher) -> None:
    """Raise ValueError if two MODELs share weights that each would patch in its own way.

    pivot_patcher, forward_patcher: the MODELs (ModelPatcher) of the two flows. Attention patches may differ freely.
    """
    if not pivot_patcher.is_clone(forward_patcher):
        return
    patched = any(patcher.patches or patcher.weight_wrapper_patches for patcher in (pivot_patcher, forward_patcher))
    if patched and pivot_patcher.patches_uuid != forward_patcher.patches_uuid:
        raise ValueError(
            "forward_flow: its MODEL carries other weight patches (a LoRA, say) than the pivot_flow's, over the same "
            "weights. Feed both guiders from one MODEL output that has all the LoRAs applied."
        )
    objects, others = pivot_patcher.object_patches, forward_patcher.object_patches
    if objects.keys() != others.keys() or any(objects[name] is not others[name] for name in objects):
        raise ValueError(
            "forward_flow: its MODEL carries other object patches (ModelSampling nodes make them) than the "
            "pivot_flow's, over the same weights. Apply such nodes before the MODEL is split between the guiders."
        )


class EnteredFlows:
    """Makes the outer (pivot) flow whole again after the host has loaded the inner one, and leaves both as it expects.

    Entering the inner (forward) guider loads its MODEL. If that is a clone of the outer's, the host detaches the
    outer: it ejects its injections and moves its patch objects to the offload device, although it is still in use.
    And where memory is short the host unloads what the outer guider had loaded. Within this context all of it is
    back, and `set_up_for` gives one shared model the injections, hooks and current patcher of the flow to be called.

    pivot_guider, forward_guider: as their samplers get them, entered in this order.
    """

    def __init__(self, pivot_guider, forward_guider):
        self._pivot_guider, self._forward_guider = pivot_guider, forward_guider
        self._pivot, self._forward = pivot_guider.model_patcher, forward_guider.model_patcher
        self._clones = self._pivot is not self._forward and self._pivot.is_clone(self._forward)
        self._active = self._forward

    def __enter__(self):
        self._load_what_was_crowded_out()
        if self._clones:
            _move_patches(self._pivot, self._pivot.load_device)
        return self

    def set_up_for(self, guider) -> None:
        """Give a shared model to one of the two guiders; nothing happens where that one has it already."""
        patcher = guider.model_patcher
        if not self._clones or patcher is self._active:
            return
        if self._active.current_hooks is not None:
            self._active.unpatch_hooks()
        self._active.eject_model()
        patcher.inject_model()
        patcher.model.current_patcher = patcher
        self._active = patcher

    def __exit__(self, *exception):
        if self._clones:
            # To the host the inner MODEL is loaded and the outer detached; some patch objects may belong to both.
            self.set_up_for(self._forward_guider)
            _move_patches(self._pivot, self._pivot.offload_device)
            _move_patches(self._forward, self._forward.load_device)

    def _load_what_was_crowded_out(self) -> None:
        outer = _models(self._pivot_guider)
        if self._pivot.is_clone(self._forward):
            outer.remove(self._pivot)
        loaded = comfy.model_management.loaded_models()
        if any(model not in loaded for model in outer):
            comfy.model_management.load_models_gpu(_models(self._forward_guider) + outer)


def _models(guider) -> list:
    # ControlNets and their like; a guider that is not the host's may keep no such list.
    return [guider.model_patcher, *getattr(guider, "loaded_models", [])]


def _move_patches(patcher, device) -> None:
    patcher.model_patches_to(device)
    patcher.model_patches_to(patcher.model_dtype())

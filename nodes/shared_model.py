"""Two flows in one set of weights: keeps the MODEL that both share set up for the flow that is being called."""


def check_same_weights(pivot_patcher, forward_patcher) -> None:
    """Raise ValueError if two MODELs share weights that each would patch in its own way.

    pivot_patcher, forward_patcher: the MODELs (ModelPatcher) of the two flows. Attention patches may differ freely.
    """
    if not pivot_patcher.is_clone(forward_patcher):
        return
    patched = pivot_patcher.patches or forward_patcher.patches
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


class SharedModel:
    """Makes an outer flow whole again after the host has loaded the inner one, and leaves both as the host expects.

    Entering the inner (forward) guider loads its MODEL. If that is a clone of the outer's, the host detaches the
    outer: it ejects its injections and moves its patch objects to the offload device, although it is still in use.
    Within this context both flows' patch objects are on the load device, and `set_up_for` gives the one model the
    injections, hooks and current patcher of the flow to be called.

    pivot_patcher: the outer flow's MODEL, detached. forward_patcher: the inner flow's, loaded.
    """

    def __init__(self, pivot_patcher, forward_patcher):
        self._shared = pivot_patcher is not forward_patcher and pivot_patcher.is_clone(forward_patcher)
        self._pivot_patcher = pivot_patcher
        self._forward_patcher = forward_patcher
        self._active = forward_patcher

    def __enter__(self):
        if self._shared:
            _move_patches(self._pivot_patcher, self._pivot_patcher.load_device)
        return self

    def set_up_for(self, patcher) -> None:
        """Give the shared model to the flow of `patcher`, one of the two; nothing happens where it has it already."""
        if not self._shared or patcher is self._active:
            return
        if self._active.current_hooks is not None:
            self._active.unpatch_hooks()
        self._active.eject_model()
        patcher.inject_model()
        patcher.model.current_patcher = patcher
        self._active = patcher

    def __exit__(self, *exception):
        if self._shared:
            # The host accounts the inner MODEL as loaded and the outer as detached; patch objects may be common to both.
            self.set_up_for(self._forward_patcher)
            _move_patches(self._pivot_patcher, self._pivot_patcher.offload_device)
            _move_patches(self._forward_patcher, self._forward_patcher.load_device)


def _move_patches(patcher, device) -> None:
    patcher.model_patches_to(device)
    patcher.model_patches_to(patcher.model_dtype())

"""PhotoMaker's LoRA: on a MODEL, and missed by the CONDITIONING that was trained together with it."""

from collections.abc import Iterable
from dataclasses import dataclass

import comfy.sd
import torch

from .checks import check_sdxl
from .photomaker import PhotoMaker

# Name of the entry in a CONDITIONING's options.
KEY = "customenhancer_photomaker_lora"


def apply_lora(model, photomaker: PhotoMaker, strength: float):
    """A MODEL with the file's LoRA on it; at strength 0 the very MODEL that came in, which is never changed.

    Raises ValueError if model is not SDXL or no tensor of the LoRA fits a layer of it.
    """
    check_sdxl(model, "PhotoMaker")
    if strength == 0:
        return model
    patched, _ = comfy.sd.load_lora_for_models(model, None, photomaker.lora, strength, 0)
    if _patch_count(patched) == _patch_count(model):
        raise ValueError(
            "model: no tensor of the PhotoMaker file's LoRA fits it. Connect a MODEL with SDXL's own layers, or "
            "set lora_strength to 0."
        )
    return patched


def _patch_count(model) -> int:
    return sum(map(len, model.patches.values()))


@dataclass(frozen=True)
class NeededLora:
    """An entry of a CONDITIONING's options: the LoRA that its MODEL should carry. marks: `_marks` of its tensors."""

    marks: frozenset

    def missing_in(self, model) -> str:
        """What to tell the user if no patch of a MODEL is of this LoRA; "" if one is, at whatever strength but 0."""
        patches = (patch for patches in model.patches.values() for patch in patches)
        weights = (weight for strength, adapter, *_ in patches if strength for weight in _weights(adapter))
        if not self.marks.isdisjoint(_marks(weights)):
            return ""
        return (
            "comes from PhotoMaker Forward Flow, but the model beside it lacks PhotoMaker's LoRA, so the likeness will "
            "be weak. Connect the model output of that node as well, or set its lora_strength to 0 to do without."
        )


def need_lora(conditioning: list, photomaker: PhotoMaker, strength: float) -> list:
    """A CONDITIONING that says which LoRA it needs, unless strength is 0; the one that came in is not changed."""
    if strength == 0:
        return conditioning
    needed = NeededLora(frozenset(_marks(photomaker.lora.values())))
    return [[cond, {**options, KEY: needed}] for cond, options in conditioning]


def _weights(adapter) -> Iterable:
    """The tensors of one weight patch, which the host keeps in an object of its own, or in a tuple."""
    weights = getattr(adapter, "weights", adapter)
    return weights if isinstance(weights, (list, tuple)) else ()


def _marks(weights: Iterable) -> Iterable[tuple]:
    """What tells each matrix among some tensors from others: its shape and its first numbers."""
    for weight in weights:
        if torch.is_tensor(weight) and weight.ndim > 1:
            yield tuple(weight.shape), *weight.flatten()[:8].tolist()

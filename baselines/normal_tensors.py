"""Autograd through tensors that were made in inference mode, which it refuses to save for the backward pass."""

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class NormalTensors(TorchFunctionMode):
    """While it is entered, every torch function sees an inference tensor as a normal one in the same memory.

    A host that runs everything in inference mode has its weights, conditionings and patches made of inference tensors.
    So gradients can flow through a network of such weights, to a leaf of one's own: no weight is copied or changed,
    and none asks for a gradient.

    To be entered with inference mode off. What runs in the backward pass (checkpointed parts) enters it for itself.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = {name: _normal(value) for name, value in (kwargs or {}).items()}
        return func(*map(_normal, args), **kwargs)


def _normal(value):
    if type(value) in (Tensor, torch.nn.Parameter) and value.is_inference():
        alias = torch.empty(0, dtype=value.dtype, device=value.device)
        return alias.set_(value.untyped_storage(), value.storage_offset(), value.size(), value.stride())
    if type(value) in (list, tuple):  # torch.cat takes a list of tensors
        return type(value)(map(_normal, value))
    return value

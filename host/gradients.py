"""Temporary changes to the host that let gradients flow through its networks."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import torch
from comfy.ldm.modules.attention import BasicTransformerBlock, attention_pytorch
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from torch.utils.checkpoint import checkpoint

from ..baselines.normal_tensors import NormalTensors

KEY = "customenhancer_gradients"


def load_for_gradients(guider) -> None:
    """Make an own CFGGuider load its models whole when it samples, and make room for them.

    Weights that are lent from elsewhere for one operation are no longer there when the backward pass asks for them.
    """
    if guider.model_patcher.is_dynamic():
        guider.model_patcher = guider.model_patcher.get_non_dynamic_delegate()
    options = comfy.model_patcher.create_model_options_clone(guider.model_patcher.model_options)
    comfy.patcher_extension.add_wrapper_with_key(
        comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, KEY, _load_whole, options, is_model_options=True
    )
    guider.model_options = options
    # The host knows what a forward pass takes; the backward pass takes several times that, so all else has to go.
    comfy.model_management.load_models_gpu([guider.model_patcher], memory_required=1e20, force_full_load=True)


def _load_whole(executor, *args, **kwargs):
    return executor(*args, **{**kwargs, "force_full_load": True})


def differentiable(model_options: dict) -> dict:
    """Model options under which a gradient flows through all that the host does between a text and a prediction."""
    transformer_options = model_options.get("transformer_options", {})
    patches = transformer_options.get("patches", {})
    after_skip = [*patches.get("input_block_patch_after_skip", []), _apart_from_skip]
    transformer_options = {
        **transformer_options,
        "patches": {**patches, "input_block_patch_after_skip": after_skip},
        "optimized_attention_override": _attention_with_gradient,
    }
    return {**model_options, "transformer_options": transformer_options}


def _apart_from_skip(h: torch.Tensor, transformer_options: dict) -> torch.Tensor:
    """A copy of a block's output, because the host adds ControlNet residuals to the skip tensor in place."""
    return h.clone()


def _attention_with_gradient(attention: Callable, *args, **kwargs) -> torch.Tensor:
    """PyTorch's attention in place of the one that is set: not all of the others have a gradient."""
    return attention_pytorch(*args, **kwargs)


@contextlib.contextmanager
def checkpointed(networks: Iterable[torch.nn.Module]) -> Iterator[None]:
    """While entered, each block of the networks stores only its input and is recomputed in the backward pass.

    Gradient checkpointing. Afterwards, also after an exception, the networks are as before.
    """
    blocks = [
        module
        for network in networks
        for module in network.modules()
        if isinstance(module, (ResBlock, BasicTransformerBlock))
    ]
    patched = {block: vars(block)["forward"] for block in blocks if "forward" in vars(block)}  # by another pack
    try:
        for block in blocks:
            block.forward = _checkpointed(block.forward)
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)
        for block, forward in patched.items():
            block.forward = forward


def _checkpointed(forward: Callable) -> Callable:
    def run(args, kwargs):
        with NormalTensors():
            return forward(*args, **kwargs)

    def checkpointed_forward(*args, **kwargs):
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        # The host writes each block's place into one dict: the second run is to find there what the first one did.
        kwargs = {name: dict(value) if isinstance(value, dict) else value for name, value in kwargs.items()}
        return checkpoint(run, args, kwargs, use_reentrant=False)

    return checkpointed_forward

"""Whether the control modules in a guider's conditioning suit its MODEL: the host finds out late, or not at all."""

from itertools import chain

import comfy.cldm.cldm
import comfy.controlnet
import comfy.t2i_adapter.adapter
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

ADAPTERS = (comfy.t2i_adapter.adapter.Adapter, comfy.t2i_adapter.adapter.Adapter_light)
UNET = "a UNet"


def check_control_family(guider, name: str | None) -> None:
    """Raise ValueError if a control module wired into a GUIDER was made for a model of another family.

    That is a ControlNet, Control-LoRA or T2I-Adapter for a UNet of another shape, or one for a UNet where the MODEL's
    network is none, such as Flux's, or the reverse. Modules and networks of classes that the host
    does not define pass. So do its own modules for networks other than UNets: whether one of those fits another cannot
    be told here.

    The host fails inside the first layer of a ControlNet that does not fit, with the sizes of two matrices. Of a
    T2I-Adapter it drops the layers that do not fit, with lines in the log, and adds the others; and many a network
    takes no notice of control at all. name: of the input that the guider came from; None if it was built from
    inputs that bear the conditionings' own names (positive, negative).
    """
    network = getattr(guider.model_patcher.model, "diffusion_model", None)
    for conditioning, conds in getattr(guider, "original_conds", {}).items():
        for cond in conds:
            control = cond.get("control")
            while control is not None:
                _check_control(control, network, name or conditioning)
                control = control.previous_controlnet


def _check_control(control, network, name: str) -> None:
    if isinstance(control, comfy.controlnet.ControlLora):  # its network is made when sampling starts
        kind, module, found = "Control-LoRA", None, UNET
    elif isinstance(control, comfy.controlnet.T2IAdapter):
        kind, module, found = "T2I-Adapter", control.t2i_model, _family(control.t2i_model)
    else:
        module = getattr(control, "control_model", None)
        kind, found = "ControlNet", _family(module)
    wanted = _family(network)
    if None in (found, wanted) or UNET not in (found, wanted):
        return
    if found == wanted:
        found, wanted = _shapes(control, module, network)
    if found != wanted:
        raise ValueError(
            f"{name}: a {kind} in its conditioning was made for a model of another family ({found}) than its MODEL "
            f"({wanted}). Choose one made for the MODEL's family: for SDXL an SDXL {kind}."
        )


def _family(module) -> str | None:
    """UNET of a UNet and of what steers one, the name of another network of the host's own, None of any other."""
    if isinstance(module, (UNetModel, comfy.cldm.cldm.ControlNet, *ADAPTERS)):
        return UNET
    kind = type(module)
    return kind.__name__ if kind.__module__.startswith(("comfy.ldm.", "comfy.cldm.")) else None


def _shapes(control, module, network: UNetModel) -> tuple[str, str]:
    """The shape of UNet that a control module for UNets was made for, and that of the network, in the same words."""
    if isinstance(control, comfy.controlnet.ControlLora):
        return _lora_shapes(control.control_weights, network)
    if isinstance(module, comfy.cldm.cldm.ControlNet):
        return _copied_shape(module, network), _copied_shape(network, network)
    if isinstance(module, ADAPTERS):
        levels = 3 if module.xl else 4
        return _levels(module.channels[0], levels), _levels(network.model_channels, len(network.channel_mult))
    return UNET, UNET


def _lora_shapes(weights: dict, network: UNetModel) -> tuple[str, str]:
    """Those of a Control-LoRA, which has a zero convolution for each block of the UNet's way down.

    What it has for the layers that read text tells their width. Without any, it reads what the UNet's own read.
    """
    found, block = [], 0
    while (convolution := weights.get(f"zero_convs.{block}.0.weight")) is not None:
        found.append(convolution.shape[0])
        block += 1
    wanted = [network.model_channels]
    for multiple, blocks in zip(network.channel_mult, network.num_res_blocks, strict=True):
        wanted += [multiple * network.model_channels] * (blocks + 1)  # the one more halves the size
    wanted.pop()  # which the last level does not do
    own, readers = next(_contexts(network), 0), ("attn2.to_k.down", "attn2.to_k.weight")
    text = (weight.shape[1] for key, weight in weights.items() if key.endswith(readers))
    return _blocks(found, next(text, own)), _blocks(wanted, own)


def _blocks(widths: list[int], context: int) -> str:
    return f"blocks of {', '.join(map(str, widths))} channels, text {context} wide"


def _copied_shape(module, network: UNetModel) -> str:
    """What a ControlNet has in common with its UNet, in words. One without attention reads no text."""
    context = next(chain(_contexts(module), _contexts(network)), 0)
    vector = "no pooled text" if module.num_classes is None else "pooled text"
    return f"{module.model_channels} channels, text {context} wide, {vector}"


def _contexts(module):
    return (layer.to_k.in_features for key, layer in module.named_modules() if key.endswith(".attn2"))


def _levels(channels: int, levels: int) -> str:
    return f"{channels} channels, {levels} levels"

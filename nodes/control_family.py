"""Whether the control modules in a guider's conditioning suit its MODEL: the host finds out late, or not at all."""

from itertools import chain

import comfy.cldm.cldm
import comfy.controlnet
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel


def check_control_family(guider, name: str | None) -> None:
    """Raise ValueError if a ControlNet or T2I-Adapter wired into a GUIDER was made for a UNet of another shape.

    The host fails inside the first layer of a ControlNet that does not fit, with the sizes of two matrices. Of a
    T2I-Adapter it drops the layers that do not fit, with lines in the log, and adds the others. name: of the input
    that the guider came from; None where it was made of inputs that are named as its conditionings are.
    """
    network = getattr(guider.model_patcher.model, "diffusion_model", None)
    if not isinstance(network, UNetModel):
        return
    for conditioning, conds in getattr(guider, "original_conds", {}).items():
        for cond in conds:
            control = cond.get("control")
            while control is not None:
                _check_control(control, network, name or conditioning)
                control = control.previous_controlnet


def _check_control(control, network: UNetModel, name: str) -> None:
    module = getattr(control, "control_model", None)
    if isinstance(module, comfy.cldm.cldm.ControlNet):
        kind, found, wanted = "ControlNet", _copied_shape(module, network), _copied_shape(network, network)
    elif isinstance(control, comfy.controlnet.T2IAdapter) and hasattr(control.t2i_model, "channels"):
        xl = getattr(control.t2i_model, "xl", False)
        kind, found = "T2I-Adapter", _levels(control.t2i_model.channels[0], 3 if xl else 4)
        wanted = _levels(network.model_channels, len(network.channel_mult))
    else:
        return
    if found != wanted:
        raise ValueError(
            f"{name}: a {kind} in its conditioning was made for a model of another family ({found}) than its MODEL is "
            f"of ({wanted}). Choose one that was made for the MODEL's family: for SDXL an SDXL {kind}."
        )


def _copied_shape(module, network: UNetModel) -> str:
    """What a ControlNet has in common with its UNet, in words. One without attention reads no text."""
    context = next(chain(_contexts(module), _contexts(network)), 0)
    vector = "no pooled text" if module.num_classes is None else "pooled text"
    return f"{module.model_channels} channels, text {context} wide, {vector}"


def _contexts(module):
    return (layer.to_k.in_features for key, layer in module.named_modules() if key.endswith(".attn2"))


def _levels(channels: int, levels: int) -> str:
    return f"{channels} channels, {levels} levels"

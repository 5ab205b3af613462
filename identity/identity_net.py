"""InstantID's IdentityNet: an SDXL ControlNet that reads a face's tokens where other ControlNets read the text."""

import comfy.cldm.cldm
import torch
from comfy.controlnet import ControlBase

from .instantid_attention import attention_layers


class IdentityNet(ControlBase):
    """A loaded ControlNet whose context is the tokens of one face; ControlNets before it in the chain keep the text.

    inner: the ControlNet with its hint, strength and range set, and no previous one. face_key: the face's entry in the
    CONDITIONING's `model_conds`.
    """

    def __init__(self, inner: ControlBase, face_key: str):
        super().__init__()
        self.inner = inner
        self.face_key = face_key
        self.extra_hooks = inner.extra_hooks

    def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
        """What the host adds to the network, from this ControlNet and those before it. Arguments: the host's."""
        earlier = None
        if self.previous_controlnet is not None:
            earlier = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, transformer_options)
        tokens = torch.cat([face.tokens.expand(face.batch_size, -1, -1) for face in cond[self.face_key]])
        own_cond = {**cond, "crossattn_controlnet": tokens}
        control = self.inner.get_control(x_noisy, t, own_cond, batched_number, transformer_options)
        return earlier if control is None else self.control_merge(control, earlier, output_dtype=None)

    def pre_run(self, model, percent_to_timestep_function):
        """Called by the host before sampling."""
        super().pre_run(model, percent_to_timestep_function)
        self.inner.pre_run(model, percent_to_timestep_function)

    def cleanup(self):
        """Called by the host after sampling."""
        super().cleanup()
        self.inner.cleanup()

    def get_models(self) -> list:
        """The models that the host has to load for it."""
        return super().get_models() + self.inner.get_models()

    def inference_memory_requirements(self, dtype) -> float:
        """Bytes needed in addition to the models."""
        return super().inference_memory_requirements(dtype) + self.inner.inference_memory_requirements(dtype)

    def copy(self) -> "IdentityNet":
        """Another with the same settings and weights, and no previous ControlNet."""
        return IdentityNet(self.inner.copy(), self.face_key)

    def deepclone_multigpu(self, load_device, autoregister=False) -> "IdentityNet":
        """Another with its weights on another device."""
        clone = IdentityNet(self.inner.deepclone_multigpu(load_device), self.face_key)
        if autoregister:
            self.multigpu_clones[load_device] = clone
        return clone


def put_identity_net(
    conditionings: list[list], control_net, keypoints: torch.Tensor, strength: float, percents: tuple, face_key: str
) -> list[list]:
    """CONDITIONINGs steered by an IdentityNet, after any ControlNet they have; those that came in are not changed.

    keypoints: (N, H, W, 3), 0 to 1, resized by the host to the picture. percents: start and end, 0 to 1. face_key: the
    face's entry in each one's `model_conds`. Conditionings with the same previous ControlNet share the IdentityNet, so
    that the host can batch them.
    """
    nets = {}
    steered = []
    for conditioning in conditionings:
        steered.append([])
        for cond, options in conditioning:
            earlier = options.get("control")
            if earlier not in nets:
                inner = control_net.copy().set_cond_hint(keypoints.movedim(-1, 1), strength, percents)
                nets[earlier] = IdentityNet(inner, face_key).set_previous_controlnet(earlier)
            steered[-1].append([cond, {**options, "control": nets[earlier], "control_apply_to_uncond": False}])
    return steered


def check_identity_net(control_net, model, token_width: int) -> None:
    """Raise ValueError if control_net cannot be InstantID's IdentityNet. model: the MODEL that it is to steer.

    token_width: of the face's tokens, its context. An ordinary SDXL ControlNet of exactly the same shape passes: only
    what it was trained for distinguishes the two.
    """
    remedy = (
        "Load instantid_identity_net.safetensors with Load ControlNet Model: that is "
        "diffusion_pytorch_model.safetensors of InstantX/InstantID's ControlNetModel folder, renamed or not."
    )
    network = getattr(control_net, "control_model", None)
    if not isinstance(network, comfy.cldm.cldm.ControlNet):
        raise ValueError(
            f"control_net: {type(control_net).__name__} is not an IdentityNet, which is a ControlNet. {remedy}"
        )
    if getattr(network, "control_add_embedding", None) is not None:
        raise ValueError(f"control_net: this is a Union ControlNet, not InstantID's IdentityNet. {remedy}")
    contexts = [module.to_k.in_features for name, module in network.named_modules() if name.endswith(".attn2")]
    if not contexts or contexts[0] != token_width:
        found = f"its context is {contexts[0]} wide" if contexts else "it reads no context"
        raise ValueError(
            f"control_net: {found}, but InstantID's face tokens are {token_width} wide. It is an ordinary ControlNet, "
            f"or one of another model family. {remedy}"
        )
    layers = sum(name != "output" for (name, _, _), _ in attention_layers(model))
    if len(contexts) != layers or network.model_channels != model.model.diffusion_model.model_channels:
        raise ValueError(
            f"control_net: its shape ({len(contexts)} attention layers, {network.model_channels} channels) is not that "
            f"of model ({layers}, {model.model.diffusion_model.model_channels}), so it is an ordinary ControlNet. "
            f"{remedy}"
        )

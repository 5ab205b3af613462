"""Stand-in control modules of every kind that SDXL has, of the host's own classes, and others that are not for it."""

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import torch
from comfy.cldm.cldm import ResBlockUnionControlnet
from comfy.ldm.flux.controlnet import ControlNetFlux
from comfy.t2i_adapter.adapter import Adapter
from comfy_extras.nodes_controlnet import SetUnionControlNetType
from standins.instantid_host import CPU, sdxl_control_net
from standins.photomaker_host import SDXL_UNET, _randomise, sdxl_model

# One transformer block where SDXL has two and ten.
SHALLOW = {"transformer_depth": [0, 0, 1, 1, 1, 1], "transformer_depth_middle": 1}
SHALLOW_UNET = {**SHALLOW, "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1]}
FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 32,
    "context_in_dim": 64,
    "hidden_size": 64,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [8, 12, 12],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": False,
    "txt_ids_dims": [],
    "dtype": torch.float32,
}


def shallow_sdxl():
    """A MODEL of the host's SDXL class that the modules below steer."""
    return sdxl_model(**SHALLOW_UNET)


def control_net(seed: int = 0):
    """An ordinary ControlNet."""
    return sdxl_control_net(seed, **SHALLOW)


def union_control_net():
    """A Union ControlNet of six types, set to the first."""
    union = sdxl_control_net(3, union_controlnet_num_control_type=6, **SHALLOW)
    # The host makes the layers that tell the types apart 320 wide, as SDXL's own are, whatever the network's width.
    network, width, operations = union.control_model, SDXL_UNET["model_channels"], comfy.ops.disable_weight_init
    network.task_embedding = torch.nn.Parameter(torch.empty(6, width))
    network.transformer_layes = torch.nn.Sequential(ResBlockUnionControlnet(width, 8, operations=operations))
    network.spatial_ch_projs = operations.Linear(width, width)
    _randomise(network, 3)
    return SetUnionControlNetType.execute(union, "openpose").result[0]


def control_lora(**settings):
    """A Control-LoRA: the layers that no UNet has, and differences of low rank for two that it has.

    settings: of the network that shall be others than those of SDXL's, such as channel_mult.
    """
    config = {**SDXL_UNET, **SHALLOW_UNET, "hint_channels": 3, "operations": comfy.ops.disable_weight_init, **settings}
    del config["out_channels"]
    network = comfy.cldm.cldm.ControlNet(**config)
    _randomise(network, 4)
    own = ("input_hint_block", "zero_convs", "middle_block_out")
    weights = {key: tensor for key, tensor in network.state_dict().items() if key.startswith(own)}
    generator = torch.Generator().manual_seed(5)
    weights["time_embed.0.up"] = torch.randn(128, 4, generator=generator) * 0.1
    weights["time_embed.0.down"] = torch.randn(4, 32, generator=generator) * 0.1
    text = "input_blocks.4.1.transformer_blocks.0.attn2.to_k"
    weights[f"{text}.up"] = torch.randn(64, 4, generator=generator) * 0.1
    weights[f"{text}.down"] = torch.randn(4, config["context_dim"], generator=generator) * 0.1
    return comfy.controlnet.ControlLora(weights)


def t2i_adapter(channels: int = 32, xl: bool = True):
    """A T2I-Adapter in the layout of SDXL's files, or of SD 1.5's."""
    widths = [channels, 2 * channels, 4 * channels, 4 * channels]
    adapter = Adapter(cin=768 if xl else 192, channels=widths, nums_rb=2, ksize=1, sk=True, use_conv=False, xl=xl)
    _randomise(adapter, 6)
    return comfy.controlnet.load_t2i_adapter(adapter.state_dict())


def sd15_control_net():
    """A ControlNet that reads SD 1.5's text, 768 wide, and no pooled text."""
    return sdxl_control_net(7, context_dim=768, num_classes=None, adm_in_channels=None, **SHALLOW)


def flux():
    """A MODEL of the host's Flux class, one block of each kind."""
    model = comfy.model_base.Flux(comfy.supported_models.Flux(FLUX))
    _randomise(model.diffusion_model, 8)
    return comfy.model_patcher.ModelPatcher(model, CPU, CPU)


def flux_control_net():
    """A ControlNet for that: the hint is a picture, as in XLabs' files."""
    config = {key: value for key, value in FLUX.items() if key != "image_model"}
    network = ControlNetFlux(**config, operations=comfy.ops.disable_weight_init)
    _randomise(network, 9)
    return comfy.controlnet.ControlNet(network, load_device=CPU, extra_conds=["y", "guidance"])


MODULES = {
    "ControlNet": control_net,
    "Union": union_control_net,
    "Control-LoRA": control_lora,
    "T2I-Adapter": t2i_adapter,
}

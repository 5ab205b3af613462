"""Teach the host the tiny SDXL stand-in: SDXL at 32 model channels and fewer layers, in UNet and text encoders."""

import functools

import comfy.model_detection
import comfy.supported_models
from comfy import sdxl_clip
from comfy.supported_models_base import ClipTarget

CLIP_SIZE = {"num_hidden_layers": 3, "intermediate_size": 512}
CHANNELS = 32


class TinySDXLClipModel(sdxl_clip.SDXLClipModel):
    """SDXL's two text encoders, three layers deep."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        sizes = {"clip_l_model_config": CLIP_SIZE, "clip_g_model_config": CLIP_SIZE}
        super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **sizes})


class TinySDXL(comfy.supported_models.SDXL):
    """SDXL whose UNet has 32 model channels, and one transformer block where SDXL has two and ten."""

    unet_config = {
        **comfy.supported_models.SDXL.unet_config,
        "model_channels": CHANNELS,
        "transformer_depth": [0, 0, 1, 1, 1, 1],
    }

    def clip_target(self, state_dict=None):
        """Name the tokenizer and the text encoders."""
        return ClipTarget(sdxl_clip.SDXLTokenizer, TinySDXLClipModel)


def _diffusers_unet(state_dict, dtype):
    """The settings of a narrow SDXL network with diffusers' names; the host has a list of those that it knows.

    As deep as its keys say: narrow networks are tested at SDXL's own depths, too.
    """
    half, quarter = (
        comfy.model_detection.count_blocks(state_dict, f"down_blocks.{level}.attentions.0.transformer_blocks.{{}}.")
        for level in (1, 2)
    )
    return {
        **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": CHANNELS, "dtype": dtype},
        **{"num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "num_head_channels": 64, "legacy": False},
        **{"transformer_depth": [0, 0, half, half, quarter, quarter], "transformer_depth_middle": quarter},
        **{"transformer_depth_output": [0, 0, 0, half, half, half, quarter, quarter, quarter]},
        **{"use_spatial_transformer": True, "use_linear_in_transformer": True, "context_dim": 2048},
        **{"num_classes": "sequential", "adm_in_channels": 2816, "use_checkpoint": False},
        **{"use_temporal_attention": False, "use_temporal_resblock": False},
    }


def register_tiny_sdxl():
    """Add the stand-ins to the models that the host recognises. Calling it again changes nothing."""
    if TinySDXL in comfy.supported_models.models:
        return
    comfy.supported_models.models.append(TinySDXL)
    known = comfy.model_detection.unet_config_from_diffusers_unet

    @functools.wraps(known)
    def known_or_tiny(state_dict, dtype=None):
        first = state_dict.get("conv_in.weight")
        is_tiny = first is not None and len(first) == CHANNELS
        return _diffusers_unet(state_dict, dtype) if is_tiny else known(state_dict, dtype)

    comfy.model_detection.unet_config_from_diffusers_unet = known_or_tiny

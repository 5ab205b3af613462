"""Teach the host the tiny SDXL stand-in: SDXL at 32 model channels and fewer layers, in UNet and text encoders."""

import comfy.supported_models
from comfy import sdxl_clip
from comfy.supported_models_base import ClipTarget

CLIP_SIZE = {"num_hidden_layers": 3, "intermediate_size": 512}


class TinySDXLClipModel(sdxl_clip.SDXLClipModel):
    """SDXL's two text encoders, three layers deep."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        sizes = {"clip_l_model_config": CLIP_SIZE, "clip_g_model_config": CLIP_SIZE}
        super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **sizes})


class TinySDXL(comfy.supported_models.SDXL):
    """SDXL whose UNet has 32 model channels, and one transformer block where SDXL has two and ten."""

    unet_config = {
        **comfy.supported_models.SDXL.unet_config,
        "model_channels": 32,
        "transformer_depth": [0, 0, 1, 1, 1, 1],
    }

    def clip_target(self, state_dict=None):
        """Name the tokenizer and the text encoders."""
        return ClipTarget(sdxl_clip.SDXLTokenizer, TinySDXLClipModel)


def register_tiny_sdxl():
    """Add the stand-in to the models that the host recognises. Calling it again changes nothing."""
    if TinySDXL not in comfy.supported_models.models:
        comfy.supported_models.models.append(TinySDXL)

"""Small host objects that a PhotoMaker test connects: the host's own classes with random weights, made in a second."""

from types import SimpleNamespace

import comfy.model_base
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import torch

SDXL_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "num_classes": "sequential",
    "adm_in_channels": 2816,
    "dtype": torch.float32,
    "model_channels": 32,
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "channel_mult": [1, 2, 4],
    "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_heads": -1,
    "num_head_channels": 64,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
SMALL_TEXT_ENCODER = {"num_hidden_layers": 3, "intermediate_size": 64}


def _randomise(module: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.data = torch.empty(parameter.shape).normal_(0, fan_in**-0.5, generator=generator)


def sdxl_clip(seed: int = 0, embedding_directory: str | None = None) -> comfy.sd.CLIP:
    """A CLIP of SDXL's two text encoders at their real widths, three layers each, float32, with the real tokenizers."""
    target = SimpleNamespace(params={}, clip=comfy.sdxl_clip.SDXLClipModel, tokenizer=comfy.sdxl_clip.SDXLTokenizer)
    options = {"clip_l_model_config": SMALL_TEXT_ENCODER, "clip_g_model_config": SMALL_TEXT_ENCODER}
    clip = comfy.sd.CLIP(target, embedding_directory, model_options={**options, "dtype": torch.float32})
    generator = torch.Generator().manual_seed(seed)
    for number, encoder in enumerate((clip.cond_stage_model.clip_l, clip.cond_stage_model.clip_g)):
        words = encoder.transformer.text_model.embeddings.token_embedding
        vocabulary, width = words.weight.shape
        words.weight = torch.nn.Parameter(torch.empty(1, width))
        _randomise(encoder, seed + number)
        # Each word's vector is a window on one line of noise: as good as a table of its own, and 150 MB smaller.
        line = torch.empty(vocabulary + width - 1).normal_(generator=generator)
        words.weight = torch.nn.Parameter(line.unfold(0, width, 1), requires_grad=False)
    return clip


def sdxl_model(seed: int = 0, **settings) -> comfy.model_patcher.ModelPatcher:
    """A MODEL of the host's SDXL class: the whole SDXL topology at model_channels 32.

    settings: of the network that shall be others than those of SDXL's, such as transformer_depth.
    """
    model = comfy.model_base.SDXL(comfy.supported_models.SDXL({**SDXL_UNET, **settings}))
    _randomise(model.diffusion_model, seed)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def sd15_model() -> comfy.model_patcher.ModelPatcher:
    """A MODEL of the class that SD 1.5 has in the host, without a network."""
    config = comfy.supported_models.SD15({"context_dim": 768, "disable_unet_model_creation": True})
    model = comfy.model_base.BaseModel(config)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def sd15_clip() -> SimpleNamespace:
    """As much of SD 1.5's CLIP as is asked before it is refused: its tokenizer."""
    return SimpleNamespace(tokenize=comfy.sd1_clip.SD1Tokenizer().tokenize_with_weights)

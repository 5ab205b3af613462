"""A network of SDXL's real size with random weights: how fast a method is needs no trained ones."""

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
UNET = {  # what the host finds in an SDXL checkpoint, beside what it knows of SDXL
    **comfy.supported_models.SDXL.unet_config,
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "num_head_channels": 64,
    "num_classes": "sequential",
    "use_spatial_transformer": True,
    "use_checkpoint": False,
    "use_temporal_resblock": False,
    "legacy": False,
}
GIB = 2**30


def random_sdxl(dtype: torch.dtype, size: int, seed: int = 0):
    """A MODEL of the host's SDXL class with random weights. size: of the pictures, in pixels.

    Raises MemoryError where the weights and a guided prediction of one picture do not fit; says what they need.
    """
    load, offload = comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    config = comfy.supported_models.SDXL({**UNET, "dtype": dtype})
    cast = comfy.model_management.unet_manual_cast(dtype, load, config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, cast, device=load)
    model = config.get_model({}, device=torch.device("meta"))
    network = model.diffusion_model
    weights = sum(parameter.nbytes for parameter in network.parameters())
    beside = model.memory_required([2, config.latent_format.latent_channels, size // 8, size // 8])
    check_memory(load, weights, beside)
    if offload != load:
        check_memory(offload, weights, 0)
    network.to_empty(device=offload)
    generator = torch.Generator(offload).manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
        else:  # a norm's weight, or a bias
            parameter.fill_(name.endswith("weight"))
    return comfy.model_patcher.ModelPatcher(model, load, offload)


def check_memory(device: torch.device, weights: float, beside: float) -> None:
    """Raise MemoryError unless the device has room for so many bytes of weights, and for so many beside them."""
    free = comfy.model_management.get_free_memory(device)
    if free < weights + beside:
        raise MemoryError(
            f"{device} has {free / GIB:.1f} GiB free, and the network takes {(weights + beside) / GIB:.1f} GiB: "
            f"{weights / GIB:.1f} for its weights and {beside / GIB:.1f} for a guided prediction, and null text takes "
            "more. Lower --size, or take a dtype of two bytes."
        )

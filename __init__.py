"""CustomEnhancer for ComfyUI: scene, control and likeness for personalised SDXL models, without training."""

from .host.oldest_comfyui import check_comfyui

check_comfyui()  # before what an older ComfyUI cannot import

from .nodes import CustomEnhancerExtension  # noqa: E402

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> CustomEnhancerExtension:
    """Give the host this pack's nodes (its V3 extension protocol)."""
    return CustomEnhancerExtension()

"""CustomEnhancer for ComfyUI: scene, control and likeness for personalised SDXL models, without training."""

from .nodes import CustomEnhancerExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> CustomEnhancerExtension:
    """Give the host this pack's nodes (its V3 extension protocol)."""
    return CustomEnhancerExtension()

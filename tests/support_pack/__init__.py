"""A custom node pack for tests and the demo alone: the tiny stand-in model, call counts and a node that measures.

Nothing here changes what the host computes. Unit tests import `support_pack.tiny_sdxl` without a server.
"""


async def comfy_entrypoint():
    """Give the host the extension (its V3 protocol)."""
    from .extension import SupportExtension

    return SupportExtension()

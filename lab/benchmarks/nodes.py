"""The pack's nodes by their ids, as the host gets them: through the pack's entry point."""

import asyncio
from functools import cache

import customenhancer

import benchmarks.loading  # noqa: F401  the pack must be loaded first


@cache
def _classes() -> dict[str, type]:
    async def node_list() -> list[type]:
        extension = await customenhancer.comfy_entrypoint()
        return await extension.get_node_list()

    return {node.define_schema().node_id: node for node in asyncio.run(node_list())}


def node(node_id: str) -> type:
    """The node class of an id such as "CE_ResInversion"; its `execute(...).result` is the node's outputs."""
    return _classes()[node_id]

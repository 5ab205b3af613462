"""The pack's node schemas, as the nodes define them."""

import asyncio

from customenhancer.nodes import CustomEnhancerExtension

# By node id, in the order in which the pack registers its nodes.
SCHEMAS = {
    schema.node_id: schema
    for schema in (node.define_schema() for node in asyncio.run(CustomEnhancerExtension().get_node_list()))
}

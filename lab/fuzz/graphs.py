"""Operations on API prompts: {node id: {"class_type", "inputs"}}, an input being a value or a link [node id, slot]."""

import copy
from collections.abc import Iterator, Mapping

OURS = "CE_"
SAMPLER = "SamplerCustomAdvanced"
# Sockets whose contents are tensors, numbers or text: what TestDigest can judge. Ours count by their prefix.
JUDGED = {"IMAGE", "MASK", "LATENT", "SIGMAS", "CONDITIONING", "FLOAT", "INT", "STRING"}


def is_link(value) -> bool:
    """Whether an input's value is a link, as the host sees it."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def links(node: Mapping) -> Iterator[tuple[str, list]]:
    """(input, link) of each linked input."""
    yield from ((name, value) for name, value in node["inputs"].items() if is_link(value))


def ancestors(graph: Mapping, node_id: str) -> set[str]:
    """The node and everything that it depends on."""
    found, waiting = set(), [node_id]
    while waiting:
        current = waiting.pop()
        if current in graph and current not in found:
            found.add(current)
            waiting += [link[0] for _, link in links(graph[current])]
    return found


def rests_on_ours(graph: Mapping, node_id: str) -> bool:
    """Whether a node, or anything that it depends on, is this pack's: a stock guider on a MODEL of ours, say."""
    return any(graph[other]["class_type"].startswith(OURS) for other in ancestors(graph, node_id))


def pruned(graph: Mapping, keep: set[str]) -> dict:
    """A copy with the nodes of `keep` and what they depend on."""
    needed = set().union(*(ancestors(graph, node_id) for node_id in keep)) if keep else set()
    return {node_id: copy.deepcopy(node) for node_id, node in graph.items() if node_id in needed}


def spec(schema: Mapping, class_type: str) -> dict[str, tuple[bool, object, dict]]:
    """{input: (required, type or list of choices, options)} of a class, from the host's /object_info."""
    found = {}
    for group, inputs in schema[class_type]["input"].items():
        if group != "hidden":
            for name, declared in inputs.items():
                options = declared[1] if len(declared) > 1 else {}
                found[name] = group == "required", declared[0], options
    return found


def ours(schema: Mapping) -> list[str]:
    """The ids of this pack's nodes."""
    return sorted(class_type for class_type in schema if class_type.startswith(OURS))


def is_ours(graph: Mapping, node_id: str) -> bool:
    """Whether a node is this pack's, or a stock sampler node that one of this pack's guiders or samplers runs in."""
    node = graph.get(node_id)
    if node is None:
        return False
    if node["class_type"].startswith(OURS):
        return True
    return any(
        graph.get(link[0], {}).get("class_type", "").startswith(OURS)
        for name, link in links(node)
        if name in ("guider", "sampler")
    )


def with_probes(graph: Mapping, schema: Mapping) -> dict:
    """A copy in which a TestDigest named "<node>/<slot>" looks at every output of ours, and at what goes into ours.

    Only sockets that hold something to judge. A picture or latent that is no list can be compared with its source.
    """
    probed = {node_id: copy.deepcopy(node) for node_id, node in graph.items()}
    wanted = {}
    for node_id, node in graph.items():
        if not is_ours(graph, node_id) and node["class_type"] != SAMPLER:
            continue
        types = schema[node["class_type"]]["output"]
        wanted |= {f"{node_id}/{slot}": [node_id, slot] for slot, kind in enumerate(types) if is_judged(kind)}
        for _, (source, slot) in links(node):
            given = schema.get(graph.get(source, {}).get("class_type"), {}).get("output", [])
            if isinstance(slot, int) and 0 <= slot < len(given) and is_judged(given[slot]):
                wanted[f"{source}/{slot}"] = [source, slot]
    for name, link in wanted.items():
        probed[name] = {"class_type": "TestDigest", "inputs": {"value": link}}
    return probed


def is_judged(kind) -> bool:
    """Whether TestDigest can judge what a socket of this type carries. Combos and unions are text or tensors."""
    return isinstance(kind, list) or any(
        part in JUDGED or part in ("*", "COMBO") or part.startswith(OURS) for part in str(kind).split(",")
    )

"""Makes a failing graph small: whatever can be set back, bypassed or dropped without losing the fault, is."""

import copy
from collections.abc import Callable, Iterator, Mapping

from fuzz.graphs import is_link, links, pruned, spec


def minimise(graph: Mapping, schema: Mapping, fails: Callable[[dict], bool], keep: set[str], budget: int = 60) -> dict:
    """The smallest graph found that still fails, a copy.

    fails: whether a graph shows the very same fault; it runs the graph. keep: nodes that must stay. budget: how often
    `fails` may be asked.
    """
    small = pruned(graph, keep) if keep else copy.deepcopy(dict(graph))
    if keep and len(small) < len(graph):
        budget -= 1
        if not fails(copy.deepcopy(small)):
            small = copy.deepcopy(dict(graph))
    progress = True
    while progress and budget > 0:
        progress = False
        for smaller in simpler(small, schema):
            if budget <= 0:
                break
            if keep:
                smaller = pruned(smaller, keep)
            budget -= 1
            if fails(copy.deepcopy(smaller)):
                small, progress = smaller, True
                break
    return small


def simpler(graph: Mapping, schema: Mapping) -> Iterator[dict]:
    """Every graph that is one step simpler, the boldest first.

    A node taken out whose input has the type of its output; an optional input left out; a widget at its default.
    """
    for node_id, node in graph.items():
        for slot, kind in enumerate(schema.get(node["class_type"], {}).get("output", ())):
            if (source := _source(graph, schema, node, kind)) and _is_used(graph, node_id, slot):
                yield _relinked(graph, [node_id, slot], source)
    for node_id, node in graph.items():
        known = spec(schema, node["class_type"]) if node["class_type"] in schema else {}
        for name, value in node["inputs"].items():
            required, _, options = known.get(name, (True, None, {}))
            if not required:
                smaller = copy.deepcopy(dict(graph))
                del smaller[node_id]["inputs"][name]
                yield smaller
            elif options.get("default") is not None and repr(value) != repr(options["default"]):
                # The defaults of stock nodes are real pictures' sizes and real numbers of steps: too slow.
                if not node["class_type"].startswith("CE_") and not is_link(value):
                    continue
                smaller = copy.deepcopy(dict(graph))
                smaller[node_id]["inputs"][name] = options["default"]
                yield smaller


def _source(graph, schema, node, kind) -> list | None:
    """The link of the first input that carries what the node puts out."""
    known = spec(schema, node["class_type"])
    for name, link in links(node):
        wanted = known.get(name, (True, None, {}))[1]
        if wanted == kind or (wanted == "*" and kind == "*"):
            return link
    return None


def _is_used(graph, node_id, slot) -> bool:
    return any(link == [node_id, slot] for node in graph.values() for _, link in links(node))


def _relinked(graph, old: list, new: list) -> dict:
    smaller = copy.deepcopy(dict(graph))
    for node in smaller.values():
        for name, link in list(links(node)):
            if link == old:
                node["inputs"][name] = list(new)
    return smaller

"""Graphs in ComfyUI's API format, whose nodes are found by their titles."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.template import ancestors

Graph = dict[str, dict]

# Titles that docs/api.md promises, as far as every method has them.
PROMPT, REFERENCE, SEED, SAVED = "Prompt", "Reference person", "Seed of the scene", "Save the final picture"
# In the texts of a graph of the user's own: the person's folder's name, and the prompt without a trigger.
IDENTITY_FIELD, PROMPT_FIELD = "{identity}", "{prompt}"


def read_graph(file: Path) -> Graph:
    """A graph in ComfyUI's API format. Raises ValueError, naming the file."""
    try:
        graph = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read as a graph: {error}") from error
    if not isinstance(graph, dict) or not all(isinstance(node, dict) and "inputs" in node for node in graph.values()):
        raise ValueError(f"{file}: is no graph in ComfyUI's API format; export it by Workflow, Export (API).")
    return graph


def titled(graph: Graph, title: str) -> str:
    """The id of the one node with a title. Raises ValueError, naming the title."""
    found = [node_id for node_id, node in graph.items() if node.get("_meta", {}).get("title") == title]
    if len(found) != 1:
        raise ValueError(f'{len(found) or "no"} nodes have the title "{title}"; it takes one.')
    return found[0]


def has(graph: Graph, column: str) -> bool:
    """Whether a graph has the input that a column of the fleet's, "title.input", names."""
    title, _, name = column.rpartition(".")
    return any(node.get("_meta", {}).get("title") == title and name in node["inputs"] for node in graph.values())


def with_inputs(graph: Graph, columns: Mapping[str, object]) -> Graph:
    """A copy with those of the columns set, "title.input": value, that it has."""
    graph = copy.deepcopy(graph)
    for column, value in columns.items():
        if has(graph, column):
            title, _, name = column.rpartition(".")
            graph[titled(graph, title)]["inputs"][name] = value
    return graph


def pruned(graph: Graph, titles: Sequence[str]) -> Graph:
    """Only what the nodes with these titles depend on."""
    kept = set().union(*(ancestors(graph, titled(graph, title)) for title in titles))
    return {node_id: node for node_id, node in graph.items() if node_id in kept}


def own_graph(file: Path) -> Graph:
    """A graph of the user's own. Raises ValueError, naming file and title, if it lacks one that it needs."""
    graph = read_graph(file)
    try:
        for title in (PROMPT, SEED, SAVED):
            titled(graph, title)
        if not any(IDENTITY_FIELD in str(node["inputs"]) for node in graph.values()):
            titled(graph, REFERENCE)
    except ValueError as error:
        raise ValueError(f"{file}: {error} docs/api.md lists the titles.") from error
    return graph

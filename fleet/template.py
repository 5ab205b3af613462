"""A workflow with holes: which of a table's columns goes where, and what two jobs have in common.

Everything about a job is a sum over its nodes, and most of its nodes have no hole, so a million jobs are planned in a
minute.
"""

import copy
import functools
import graphlib
import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cost import COSTLY, DECIDING, guider_calls, is_link
from .errors import FleetError
from .files import PICTURE_NODES, ModelFiles, Pictures
from .job_list import LABEL, WORKFLOW

NAMESPACE = uuid.UUID("6f0c1c60-2f0e-5b0e-9d59-0a6b3b1c7a52")
REMEMBERED = 100_000  # answers of each kind
MODEL_FILES = ".safetensors", ".sft", ".ckpt", ".bin", ".pt", ".pth", ".onnx", ".gguf"


@dataclass(frozen=True)
class Stage:
    """A node that asks the model. Two jobs with one signature share what it makes. calls: guider calls it takes."""

    signature: str
    calls: int


@dataclass(frozen=True)
class Job:
    """id: a UUIDv5 of all that the pictures depend on. models: signature of the model files. stages: in order."""

    id: str
    models: str
    stages: tuple[Stage, ...]


def read_workflow(file: Path) -> dict:
    """The graph of a file in ComfyUI's API format. Raises FleetError."""
    try:
        graph = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FleetError(f"workflow {file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FleetError(f"workflow {file}: is not JSON: {error}") from error
    if isinstance(graph, dict) and "nodes" in graph:
        raise FleetError(
            f"workflow {file}: is for the browser. Export it from there (Workflow, Export (API)), or take its twin "
            "from workflows/api/"
        )
    nodes = graph.values() if isinstance(graph, dict) else [None]
    if not graph or not all(isinstance(node, dict) and {"class_type", "inputs"} <= node.keys() for node in nodes):
        raise FleetError(f"workflow {file}: is no graph in ComfyUI's API format")
    return graph


def title(graph: dict, node_id: str) -> str:
    """What a node is called: its title, its class where it has none."""
    return graph[node_id].get("_meta", {}).get("title") or graph[node_id]["class_type"]


class Template:
    """A graph and the columns that are set in it.

    graph: in ComfyUI's API format. columns: of the job list, labels among them. folder: to which files are relative.
    pictures, models: what is behind names. Raises FleetError, naming the column, where it leads to no input.
    """

    def __init__(self, graph: dict, columns: Sequence[str], folder: Path, pictures: Pictures, models: ModelFiles):
        self.graph, self.columns = graph, tuple(columns)
        self._folder, self._pictures, self._models = folder, pictures, models
        self._places = [self._place(column) for column in columns]  # (node id, input), or None for a label
        self._own = {node: self._positions({node}) for node in graph}
        order = _sorted_nodes(graph)
        upstream = {node: ancestors(graph, node) for node in order if graph[node]["class_type"] in COSTLY}
        # What fewest columns decide is what most jobs have in common.
        costly = sorted(upstream, key=lambda node: (len(self._positions(upstream[node])), order.index(node)))
        self._deciding = [p for p, place in enumerate(self._places) if place and place[1] in DECIDING]
        # Answers are kept by values and their types: 1, 1.0 and True are one key, and three inputs.
        remember = functools.lru_cache(REMEMBERED, typed=True)
        self._converted = remember(self._convert)
        self._digests = remember(self._digest_node)
        self._calls = remember(self._count_calls)
        self._holes = [node for node in graph if self._own[node]]
        self._whole, self._loaded = self._sum(graph, 0), self._sum(graph, 1)
        self._stages = [(node, self._sum(upstream[node], 0)) for node in costly]

    def _place(self, column: str) -> tuple[str, str] | None:
        if column.startswith(LABEL) or column == WORKFLOW:
            return None
        places = {
            (node_id, name): f"{title(self.graph, node_id)}.{name}"
            for node_id, node in self.graph.items()
            for name in node["inputs"]
        }
        found = [place for place, name in places.items() if name == column]
        if len(found) == 1:
            return found[0]
        many = f"{len(found)} inputs have that name" if found else "there is no such input"
        raise FleetError(
            f"column {column!r}: {many}. A column is `node title.input`, or `label.NAME`. "
            f"The inputs are: {', '.join(sorted(set(places.values())))}"
        )

    def _positions(self, nodes: set[str]) -> tuple[int, ...]:
        return tuple(position for position, place in enumerate(self._places) if place and place[0] in nodes)

    def values(self, row: dict) -> tuple:
        """A row's values in the order of the columns, each of its input's type; pictures by the name for the hosts.

        Raises FleetError, naming the column, for a picture that is not there and for text where a number belongs.
        """
        values = []
        for position, column in enumerate(self.columns):
            value = row[column]
            if isinstance(value, str) and self._places[position]:
                value = self._converted(position, value)
            values.append(tuple(value) if isinstance(value, list) else value)
        return tuple(values)

    def _convert(self, position: int, text: str):
        node_id, name = self._places[position]
        node, column = self.graph[node_id], self.columns[position]
        if node["class_type"] in PICTURE_NODES and name == "image":
            try:
                return self._pictures.name(self._folder / text)
            except FleetError as error:
                raise FleetError(f"column {column!r}: {error}") from error
        before = node["inputs"][name]
        if isinstance(before, str):
            return text
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if isinstance(before, (bool, int, float)) and not isinstance(value, (bool, int, float)):
            raise FleetError(f"column {column!r}: {text!r} is no number, true or false")
        return value

    def job(self, values: tuple) -> Job:
        """What a row makes. values: from `values`."""
        calls = self._calls(*[values[position] for position in self._deciding])
        digests = [self._digests(node, *[values[position] for position in self._own[node]]) for node in self._holes]
        stages = tuple(
            Stage(_short(total.of(digests)), number)
            for (_, total), number in zip(self._stages, calls, strict=True)
            if number
        )
        name = f"{self._whole.of(digests):032x}"
        return Job(str(uuid.uuid5(NAMESPACE, name)), _short(self._loaded.of(digests)), stages)

    def resolved(self, values: Sequence) -> dict:
        """The graph with a row's values put in."""
        graph = copy.deepcopy(self.graph)
        for place, value in zip(self._places, values, strict=True):
            if place:
                graph[place[0]]["inputs"][place[1]] = list(value) if isinstance(value, tuple) else value
        return graph

    def _sum(self, nodes: Iterable[str], which: int) -> "_Sum":
        """The sum of some nodes' digests, the first or the second: that of those without a hole is known at once."""
        nodes = set(nodes)
        fixed = sum(self._digests(node)[which] for node in nodes if not self._own[node])
        return _Sum(which, fixed, [place for place, node in enumerate(self._holes) if node in nodes])

    def _digest_node(self, node: str, *own) -> tuple[int, int]:
        """Two digests: of a node's class, its inputs and the files behind their names, but not of its title; and of
        the model files that it names, 0 where it names none.
        """
        inputs = self._inputs(node, own)
        files = [self._models.fingerprint(value) for _, value in sorted(inputs.items())]
        named = [value for value in inputs.values() if isinstance(value, str) and value.lower().endswith(MODEL_FILES)]
        whole = _digest([node, self.graph[node]["class_type"], inputs, files])
        return whole, _digest(named) if named else 0

    def _count_calls(self, *deciding) -> list[int]:
        values = [None] * len(self.columns)
        for position, value in zip(self._deciding, deciding, strict=True):
            values[position] = value
        graph = {node: dict(content, inputs=dict(content["inputs"])) for node, content in self.graph.items()}
        for position in self._deciding:
            node, name = self._places[position]
            graph[node]["inputs"][name] = values[position]
        return [guider_calls(graph, node) for node, _ in self._stages]

    def _inputs(self, node: str, own: Sequence) -> dict:
        inputs = dict(self.graph[node]["inputs"])
        for position, value in zip(self._own[node], own, strict=True):
            inputs[self._places[position][1]] = value
        return inputs


@dataclass(frozen=True)
class _Sum:
    """A sum over nodes, so that it is the same whichever of them have holes.

    which: the first or the second of a node's digests. fixed: the sum of those that have no hole. places: of the
    others, among the nodes that have one.
    """

    which: int
    fixed: int
    places: list[int]

    def of(self, digests: list[tuple[int, int]]) -> int:
        """The sum, 0 .. 2^128 - 1, for the digests that the nodes with holes have in a row."""
        return (self.fixed + sum([digests[place][self.which] for place in self.places])) % (1 << 128)


def _digest(content) -> int:
    text = json.dumps(content, sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def _short(total: int) -> str:
    """Enough of a sum to tell groups apart."""
    return f"{total % (1 << 48):012x}"


def _links(node: dict) -> list[str]:
    return [value[0] for value in node["inputs"].values() if is_link(value)]


def _sorted_nodes(graph: dict) -> list[str]:
    """The nodes, each behind those that it links to. Raises FleetError for a circle."""
    sources = {node: [link for link in _links(graph[node]) if link in graph] for node in sorted(graph)}
    try:
        return list(graphlib.TopologicalSorter(sources).static_order())
    except graphlib.CycleError as error:
        raise FleetError(f"the workflow's links run in a circle: {' - '.join(error.args[1])}") from error


def ancestors(graph: dict, node_id: str) -> set[str]:
    """A node and all that it depends on."""
    found, waiting = set(), [node_id]
    while waiting:
        each = waiting.pop()
        if each in graph and each not in found:
            found.add(each)
            waiting += _links(graph[each])
    return found

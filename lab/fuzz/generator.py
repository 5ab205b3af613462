"""Makes the cases: around a node of ours a graph that should run, then a few changes that it may not survive."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from fuzz.graphs import SAMPLER, is_link, links, ours, spec
from fuzz.odd_producers import ODD
from fuzz.producers import PACK, PACKS, PLAIN, SIZES
from fuzz.stock_nodes import STOCK
from fuzz.values import COSTLY, as_json, hostile, plain, varied

DEEPEST = 9  # nested producers
REUSE = {
    "MODEL": 0.9,
    "CLIP": 1.0,
    "VAE": 1.0,
    "SIGMAS": 0.9,
    "GUIDER": 0.6,
    "LATENT": 0.7,
    "IMAGE": 0.4,
    "FLOAT": 0.9,
    "STRING": 0.9,
}
ODDER = {"MODEL": 3, "GUIDER": 2, "CONDITIONING": 2}  # one patch in a flow does not keep the others from running


@dataclass
class Case:
    """One prompt. number: within the run. target: the id of the node that it is about. changes: what was perturbed."""

    number: int
    graph: dict
    target: str
    changes: list[str] = field(default_factory=list)


class Builder:
    """Adds nodes to an API prompt. rng decides everything; the same rng makes the same graph."""

    def __init__(self, schema: Mapping, rng: Random, oddness: float):
        self.schema, self.rng, self.oddness = schema, rng, oddness
        self.graph, self.made, self.depth = {}, {}, 0
        self.sources, self.size = _sources(schema), rng.choice(SIZES)
        self.steps = rng.choice((2, 3, 3))  # as many as the recordings have that session.py saves

    def add(self, class_type: str, **inputs) -> str:
        """Add a node and return its id; the same node twice is one node."""
        inputs = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()}
        for node_id, node in self.graph.items():
            if repr(node["inputs"]) == repr(inputs) and node["class_type"] == class_type:
                return node_id
        node_id = f"{len(self.graph)}-{class_type}"
        self.graph[node_id] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}
        return node_id

    def choices(self, class_type: str, name: str) -> list:
        """What a combo offers."""
        _, kind, options = spec(self.schema, class_type)[name]
        return kind if isinstance(kind, list) else options["options"]

    def link(self, kind: str) -> list:
        """A link to something of a type: what is there already, or made anew; now and then something odd."""
        kind = self.rng.choice(kind.split(","))
        made = self.made.setdefault(kind, [])
        if made and self.rng.random() < REUSE.get(kind, 0.6):
            return self.rng.choice(made)
        # Deeper down less and less, or graphs would grow without end.
        chance = self.oddness * ODDER.get(kind, 1) * 0.7**self.depth
        return self.new(kind, odd=self.rng.random() < chance)

    def new(self, kind: str, odd: bool) -> list:
        """A link to something of a type, made anew."""
        usual = PLAIN.get(kind, []) or [self._by_node(*source) for source in self.sources.get(kind, [])]
        others = ODD.get(kind, []) + [self._by_node(*source) for source in self.sources.get(kind, [])]
        others = others + [self._by_node(name, 0) for name in STOCK.get(kind, ()) if name in self.schema]
        self.depth += 1
        makers = others if odd and others and self.depth <= DEEPEST else usual[:1] if self.depth > DEEPEST else usual
        if not makers:
            raise LookupError(f"nothing makes {kind}: give it a producer in producers.py")
        made = list(self.rng.choice(makers)(self))
        self.depth -= 1
        self.made.setdefault(kind, []).append(made)
        return made

    def _by_node(self, class_type: str, slot: int):
        return lambda b: (b.node(class_type), slot)

    def node(self, class_type: str) -> str:
        """Add a node with all that it requires, and some of what it does not."""
        inputs = {}
        for name, (required, kind, options) in spec(self.schema, class_type).items():
            costly = name in COSTLY
            empty = kind == "STRING" and "default" not in options and not options.get("multiline")
            if not required and not costly and (empty or self.rng.random() > 0.35):
                continue
            if fitting := self._fitting(class_type, kind, inputs):
                inputs[name] = fitting
            elif is_widget(kind, options):
                make = varied if costly or self.rng.random() < 0.5 else plain
                inputs[name] = make(name, kind, options, self.rng)
            elif required or self._has_maker(kind):
                inputs[name] = self.link(kind)
        return self.add(class_type, **inputs)

    def _has_maker(self, kind: str) -> bool:
        return any(part in PLAIN or part in self.sources for part in kind.split(","))

    def _fitting(self, class_type: str, kind, inputs: Mapping) -> list | None:
        """Mostly, the face analysis that a node was made for, and the latent that belongs to a recording."""
        if self.rng.random() < 0.25:
            return None
        if kind == "FACEANALYSIS":
            return [self.add("CE_FaceAnalysisLoader", pack=PACKS.get(class_type, PACK)), 0]
        return self.latent_of(inputs) if kind == "LATENT" else None

    def latent_of(self, inputs: Mapping) -> list | None:
        """The latent that comes out of the node that made the recording among the inputs."""
        for name in ("residual_noise", "pivot"):
            if is_link(inputs.get(name)):
                source = inputs[name][0]
                while passed := [link for _, link in links(self.graph[source]) if _saves(self.graph[source])]:
                    source = passed[0][0]
                outputs = self.schema[self.graph[source]["class_type"]]["output"]
                if "LATENT" in outputs:
                    return [source, outputs.index("LATENT")]
        return None


def _saves(node: Mapping) -> bool:
    return node["class_type"].startswith("CE_Save")


def is_widget(kind, options: Mapping) -> bool:
    """Whether an input is typed in, not wired."""
    return (isinstance(kind, list) or kind in ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")) and not options.get(
        "forceInput"
    )


def make_case(schema: Mapping, seed: int, number: int) -> Case:
    """Case `number` of a run: the same for the same schema and seed."""
    rng = Random(f"{seed} {number}")
    classes = _targets(schema)
    builder = Builder(schema, rng, oddness=rng.choice((0.0, 0.1, 0.15, 0.3)))
    target = builder.node(classes[number % len(classes)])
    case = Case(number, builder.graph, target)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        case.changes.append(_perturb(builder, target))
    if not schema[builder.graph[target]["class_type"]]["output_node"]:
        _consume(builder, target)
    return case


def _targets(schema: Mapping) -> list[str]:
    """The nodes in the order of the cases; those that only load files or read text come less often."""
    classes = ours(schema)
    wired = [
        name for name in classes if any(not is_widget(kind, more) for _, kind, more in spec(schema, name).values())
    ]
    return classes + wired + wired


def _perturb(builder: Builder, target: str) -> str:
    """Change one input of the target or, less often, of another node of the graph. Returns where."""
    rng, graph = builder.rng, builder.graph
    node_id = target if rng.random() < 0.75 else rng.choice(list(graph))
    node = graph[node_id]
    if not node["class_type"].startswith("CE_"):
        node_id, node = target, graph[target]
    inputs = spec(builder.schema, node["class_type"])
    sockets = [name for name, (_, kind, options) in inputs.items() if not is_widget(kind, options)]
    # Values are checked one by one and soon known to be; what is wired has no end.
    rewired = bool(sockets) and rng.random() < 0.5
    name = rng.choice(sockets if rewired else list(inputs))
    _, kind, options = inputs[name]
    fate = 1.0 if rewired else rng.random()
    if fate < 0.03:
        node["inputs"].pop(name, None)
    elif fate < 0.08:
        node["inputs"][name] = None
    elif fate < 0.10:
        node["inputs"][name] = rng.choice((["nowhere", 0], [node_id, 0], ["0-CLIPTextEncode", 7], [], [1, 2, 3]))
    elif is_widget(kind, options):
        value = hostile(name, kind, options, rng)
        by_link = rng.random() < 0.5
        node["inputs"][name] = [builder.add("TestValue", text=as_json(value)), 0] if by_link else value
    elif fate < 0.16:
        others = [made for other, links in builder.made.items() if other != kind for made in links]
        node["inputs"][name] = rng.choice(others) if others and rng.random() < 0.5 else rng.choice(("abc", 3, {}, True))
    else:
        # What is made now must not depend on the node that it goes into.
        builder.made = {}
        node["inputs"][name] = builder.new(rng.choice(kind.split(",")), odd=True)
    return f"{node_id}.{name}"


def _consume(builder: Builder, target: str) -> None:
    """Use what the target gives, as a user would: sample with a guider or sampler, save what can be saved."""
    for slot, kind in enumerate(builder.schema[builder.graph[target]["class_type"]]["output"]):
        out = [target, slot]
        if kind in ("GUIDER", "SAMPLER"):
            inputs = {name: builder.link(name.upper()) for name in ("guider", "sampler", "sigmas", "noise")}
            inputs |= {"latent_image": builder.link("LATENT"), kind.lower(): out}
            inputs |= {**_recorded(builder, inputs["sampler"][0]), kind.lower(): out}
            builder.graph["sampled"] = {"class_type": SAMPLER, "inputs": copy.deepcopy(inputs)}
        elif kind == "MODEL":
            conds = {"positive": builder.link("CONDITIONING"), "negative": builder.link("CONDITIONING")}
            types = builder.schema[builder.graph[target]["class_type"]]["output"]
            conds["positive"] = [target, types.index("CONDITIONING")] if "CONDITIONING" in types else conds["positive"]
            guider = builder.add("CFGGuider", model=out, **conds, cfg=3.0)
            inputs = {name: builder.link(name.upper()) for name in ("sampler", "sigmas", "noise")}
            inputs |= {"guider": [guider, 0], "latent_image": builder.link("LATENT")}
            builder.graph["sampled"] = {"class_type": SAMPLER, "inputs": copy.deepcopy(inputs)}
        elif f"CE_Save{_camel(kind)}" in builder.schema:
            inputs = {kind[3:].lower(): out, "filename_prefix": "fuzz/case"}
            builder.graph["saved"] = {"class_type": f"CE_Save{_camel(kind)}", "inputs": inputs}


def _recorded(builder: Builder, sampler: str) -> dict:
    """What sampling along a recording needs, mostly: no noise; latent, guider and schedule of the inversion."""
    if builder.rng.random() < 0.2 or not (latent := builder.latent_of(builder.graph[sampler]["inputs"])):
        return {}
    made = builder.graph[latent[0]]["inputs"]
    given = {name: made[name] for name in ("guider", "sigmas") if is_link(made.get(name))}
    return {**given, "latent_image": latent, "noise": [builder.add("DisableNoise"), 0]}


def _camel(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.removeprefix("CE_").split("_"))


def _sources(schema: Mapping) -> dict[str, list[tuple[str, int]]]:
    """{type: (class, slot) of each node of ours that gives it}: new sockets find their makers by themselves."""
    found = {}
    for class_type in ours(schema):
        for slot, kind in enumerate(schema[class_type]["output"]):
            if isinstance(kind, str):
                found.setdefault(kind, []).append((class_type, slot))
    return found

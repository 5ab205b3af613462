"""The graph that draws each method's pictures, made from the shipped workflows: what is measured is what users run."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from paper.api_graphs import PROMPT, REFERENCE, SAVED, Graph, has, own_graph, pruned, read_graph, titled, with_inputs
from paper.methods import (
    DDIM,
    DELAYED,
    FULL_INSTANTID,
    FULL_PHOTOMAKER,
    FUSION,
    INSTANTID,
    NO_BACKWARD,
    NO_FORWARD,
    PHOTOMAKER,
    SCENE,
    SWAPPED,
)
from paper.protocol import FIGURE_SCALES

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
SHIPPED = {
    PHOTOMAKER: API / "customenhancer_photomaker_v2.json",
    INSTANTID: API / "customenhancer_instantid.json",
}

# Titles of the shipped workflows.
STOCK, SAMPLE_SCENE, DECODED_SCENE = "Stock SDXL", "Sample the scene", "Scene"
PIVOT_FLOW, FORWARD_FLOW = "Pivot flow: prompt without identity", "Forward flow: identity"
BOTH_FLOWS, BACKWARD_FLOW, SAMPLE_FLOWS = "Pivot and forward flow", "Backward flow", "Sample the three flows"
INSTANTID_FACE, PICTURE_SIZE, SWAP, SAMPLER = "Identity and key points", "Picture size", "Swap the face in", "Sampler"
INVERSION = "ResInversion"
# Previews of the shipped workflow that are saved here, by the method whose pictures they are.
PREVIEWS = {SCENE: "Scene with an anonymous person", SWAPPED: "Scene with the reference's face"}
# Titles of our own.
PROMPT_WITHOUT_PERSON, PLACE_IN_BATCH, PERSON_SWAPPED_IN = (
    "Prompt without the person",
    "Place in the batch",
    "Person swapped in",
)


@dataclass(frozen=True)
class Drawing:
    """What one job draws. name: of the graph's file. outputs: by the title of a node that saves, the method it is of.

    start_step, forward_scale: MSS and scale, where figures 10 and 11 vary them.
    """

    name: str
    graph: Graph
    outputs: Mapping[str, str]
    start_step: int | None = None
    forward_scale: float | None = None


def photomaker_graph() -> Graph:
    """The shipped PhotoMaker workflow, whose scene no longer depends on the person.

    There the scene's text is an output of the node that has the person. Here a CLIPTextEncode of the same text without
    the trigger takes its place, and its id, as in InstantID's workflow: scenes are then the same to fleet and host,
    whoever is to come in and by which method. titles: PROMPT and PROMPT_WITHOUT_PERSON.
    """
    graph = read_graph(SHIPPED[PHOTOMAKER])
    prompt, moved = titled(graph, PROMPT), str(1 + max(map(int, graph)))
    for node in graph.values():
        links = {name: value for name, value in node["inputs"].items() if isinstance(value, list)}
        node["inputs"] |= {name: [moved, place] for name, (source, place) in links.items() if source == prompt}
    graph[moved] = graph[prompt]
    graph[prompt] = {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "", "clip": graph[moved]["inputs"]["clip"]},
        "_meta": {"title": PROMPT_WITHOUT_PERSON},
    }
    graph[titled(graph, STOCK)]["inputs"]["positive"] = [prompt, 0]
    return graph


def alone(graph: Graph) -> Graph:
    """The forward flow alone, sampled as the scene is, from the scene's own noise.

    InstantID takes its key points from the reference, as it does by itself: there is no scene.
    """
    graph = copy.deepcopy(graph)
    graph[titled(graph, SAMPLE_SCENE)]["inputs"]["guider"] = [titled(graph, FORWARD_FLOW), 0]
    graph[titled(graph, SAVED)]["inputs"]["images"] = [titled(graph, DECODED_SCENE), 0]
    if has(graph, f"{INSTANTID_FACE}.keypoints_image"):
        del graph[titled(graph, INSTANTID_FACE)]["inputs"]["keypoints_image"]
    return graph


def without_forward_flow(graph: Graph) -> Graph:
    """As the shipped ablation workflow has it: the pivot flow's guider in the place of both."""
    graph = copy.deepcopy(graph)
    graph[titled(graph, SAMPLE_FLOWS)]["inputs"]["guider"] = [titled(graph, PIVOT_FLOW), 0]
    return graph


def without_backward_flow(graph: Graph) -> Graph:
    """As the shipped ablation workflow has it: a backward scale of 0."""
    return with_inputs(graph, {f"{BACKWARD_FLOW}.backward_scale": 0})


def from_step(graph: Graph, start_step: int, forward_scale: float) -> Graph:
    """Figure 10's: another MSS and forward scale."""
    return with_inputs(graph, {f"{BOTH_FLOWS}.start_step": start_step, f"{BOTH_FLOWS}.forward_scale": forward_scale})


def delayed(graph: Graph) -> Graph:
    """The personalised model by itself, its identity from MSS on, as PhotoMaker's own pipeline samples."""
    graph = alone(graph)
    graph[titled(graph, SAMPLE_SCENE)]["inputs"]["guider"] = [titled(graph, BOTH_FLOWS), 0]
    return graph


def by_ddim_inversion(graph: Graph) -> Graph:
    """DDIM's inversion in ResInversion's place, and its sampler in BiMD's."""
    graph = copy.deepcopy(graph)
    inversion = graph[titled(graph, INVERSION)]
    inversion["class_type"] = "CE_DDIMInversion"
    inversion["inputs"] = {name: inversion["inputs"][name] for name in ("guider", "sigmas", "latent_image")}
    graph[titled(graph, SAMPLE_FLOWS)]["inputs"]["sampler"] = [titled(graph, SAMPLER), 0]
    return graph


def with_another_swapped_in(graph: Graph) -> Graph:
    """Figure 11 a: the face that is swapped in is another person's, whom jobs name by `Person swapped in.image`."""
    graph = copy.deepcopy(graph)
    person = str(1 + max(map(int, graph)))
    graph[person] = copy.deepcopy(graph[titled(graph, REFERENCE)])
    graph[person]["_meta"]["title"] = PERSON_SWAPPED_IN
    graph[titled(graph, SWAP)]["inputs"]["reference"] = [person, 0]
    return graph


def in_a_batch(graph: Graph) -> Graph:
    """The scene's noise is that of one place in a batch, so that each picture of a batch can be drawn by itself.

    Jobs set `Picture size.batch_size` and `Place in the batch.batch_index`.
    """
    graph = copy.deepcopy(graph)
    size, place = titled(graph, PICTURE_SIZE), str(1 + max(map(int, graph)))
    graph[titled(graph, SAMPLE_SCENE)]["inputs"]["latent_image"] = [place, 0]
    graph[place] = {
        "class_type": "LatentFromBatch",
        "inputs": {"samples": [size, 0], "batch_index": 0, "length": 1},
        "_meta": {"title": PLACE_IN_BATCH},
    }
    return graph


def saving_previews(graph: Graph) -> Graph:
    """The scene, and the scene with the face swapped in, are saved as the final picture is."""
    graph = copy.deepcopy(graph)
    for title in PREVIEWS.values():
        node = graph[titled(graph, title)]
        node["class_type"] = "SaveImage"
        node["inputs"]["filename_prefix"] = graph[titled(graph, SAVED)]["inputs"]["filename_prefix"]
    return graph


def drawings(
    methods: Sequence[str],
    columns: Mapping[str, object] | None = None,
    own: Mapping[str, Path] | None = None,
    batches: bool = False,
) -> list[Drawing]:
    """The jobs that draw one person with one prompt by these methods, each method's picture in one of them.

    columns: what every graph has set, "title.input": value, where it has that input. own: graphs of the user's own in
    place of these, by method. batches: see `in_a_batch`. Raises ValueError for a method without a graph.
    """
    own = own or {}
    bases = _bases(columns, batches)
    graphs = {
        DELAYED: delayed(bases[PHOTOMAKER]),
        DDIM: by_ddim_inversion(bases[PHOTOMAKER]),
        PHOTOMAKER: alone(bases[PHOTOMAKER]),
        NO_BACKWARD: without_backward_flow(bases[PHOTOMAKER]),
        NO_FORWARD: without_forward_flow(bases[PHOTOMAKER]),
        FULL_INSTANTID: bases[INSTANTID],
        INSTANTID: alone(bases[INSTANTID]),
    }
    drawn_once = [method for method in methods if method not in own and method != FUSION]
    found, left = _with_previews(bases[PHOTOMAKER], drawn_once)
    for method in left:
        if method not in graphs:
            raise ValueError(f"{method}: there is no graph of it here; give one: --graph {method}=FILE")
        found.append(Drawing(method, pruned(graphs[method], [SAVED]), {SAVED: method}))
    for method in methods:
        if method in own:
            found.append(Drawing(method, with_inputs(own_graph(own[method]), columns or {}), {SAVED: method}))
    return found


def curve_drawings(
    methods: Sequence[str],
    starts: Sequence[int],
    scales: Sequence[float] = FIGURE_SCALES,
    columns: Mapping[str, object] | None = None,
    batches: bool = False,
) -> list[Drawing]:
    """The jobs of figures 10 and 11 a, for those of the full methods and of the fusion that are asked for.

    starts, scales: MSS and forward scales. The rest is as in `drawings`.
    """
    bases = _bases(columns, batches)
    varied = {
        FULL_PHOTOMAKER: bases[PHOTOMAKER],
        FULL_INSTANTID: bases[INSTANTID],
        FUSION: with_another_swapped_in(bases[PHOTOMAKER]),
    }
    return [
        Drawing(
            f"{method}-from-{start}-by-{scale:g}",
            pruned(from_step(graph, start, scale), [SAVED]),
            {SAVED: method},
            start,
            scale,
        )
        for method, graph in varied.items()
        if method in methods
        for scale, start in product(scales, starts)
    ]


def _bases(columns: Mapping[str, object] | None, batches: bool) -> dict[str, Graph]:
    """The graphs that all others are made from, by PHOTOMAKER and INSTANTID."""
    bases = {PHOTOMAKER: photomaker_graph(), INSTANTID: read_graph(SHIPPED[INSTANTID])}
    if batches:
        bases = {name: in_a_batch(graph) for name, graph in bases.items()}
    return {name: with_inputs(graph, columns or {}) for name, graph in bases.items()}


def _with_previews(graph: Graph, methods: Sequence[str]) -> tuple[list[Drawing], list[str]]:
    """The full method's job, whose previews are two further methods, or theirs alone; and the methods that are left."""
    graph = saving_previews(graph)
    outputs = {PREVIEWS[method]: method for method in PREVIEWS if method in methods}
    name = "scene"
    if FULL_PHOTOMAKER in methods:  # always with both, so that to ask for one later draws nothing again
        outputs = {SAVED: FULL_PHOTOMAKER} | {title: method for method, title in PREVIEWS.items()}
        name = FULL_PHOTOMAKER
    left = [method for method in methods if method not in (FULL_PHOTOMAKER, *PREVIEWS)]
    return ([Drawing(name, pruned(graph, list(outputs)), outputs)] if outputs else []), left

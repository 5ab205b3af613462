"""The job list of the paper's pictures, and the records that come of the fleet's ledger.

A job draws one person with one prompt. Its labels say what: `label.method`, `label.identity`, `label.prompt`, where
figure 10 varies MSS `label.start_step` and `label.scale`, and with a second dataset `label.dataset`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.cost import guider_calls
from fleet.job_list import LABEL, WORKFLOW
from paper.api_graphs import IDENTITY_FIELD, PROMPT, PROMPT_FIELD, REFERENCE, SEED, Graph, has, pruned, titled
from paper.graphs import PERSON_SWAPPED_IN, PROMPT_WITHOUT_PERSON, Drawing
from paper.methods import FUSION, SCENE
from paper.pictures import digest, digest_of
from paper.prompts import Prompt
from paper.records import Record

GRAPHS = "graphs"  # the folder beside the list
IMAGE, IMAGE_SWAPPED_IN = f"{REFERENCE}.image", f"{PERSON_SWAPPED_IN}.image"
IMAGES = {IMAGE, IMAGE_SWAPPED_IN}


@dataclass(frozen=True)
class Place:
    """One person with one prompt, which every method draws.

    word: the class word. seed: of the noise. reference: the photograph that the methods get. others: what likeness is
    measured against. swapped_in: of another person, whose face the fusion puts in: the photograph that the swap gets,
    then others. facts: as in a Record. columns: what the jobs set beside that, "title.input": value, in the graphs
    that have it. dataset: empty for the first.
    """

    identity: str
    prompt: Prompt
    word: str
    seed: int
    reference: Path
    others: tuple[Path, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, object] = field(default_factory=dict)
    dataset: str = ""
    swapped_in: tuple[Path, ...] = ()


def write_jobs(work: Sequence[tuple[Place, Sequence[Drawing]]], folder: Path) -> Path:
    """Write jobs.jsonl and the graphs' files into `folder`; returns the list. work: what is drawn at each place."""
    (folder / GRAPHS).mkdir(parents=True, exist_ok=True)
    for drawing in {drawing.name: drawing for _, of_place in work for drawing in of_place}.values():
        text = json.dumps(drawing.graph, indent=1)
        (folder / _graph_file(drawing)).write_text(text, encoding="utf-8")
    file = folder / "jobs.jsonl"
    rows = (row_of(place, drawing) for place, of_place in work for drawing in of_place)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def row_of(place: Place, drawing: Drawing) -> dict:
    """One job, {column: value}."""
    graph = drawing.graph
    trigger = graph[titled(graph, PROMPT)]["inputs"].get("trigger", "") if has(graph, f"{PROMPT}.text") else ""
    columns = {
        IMAGE: str(place.reference.resolve()),
        f"{PROMPT}.text": place.prompt.text(place.word, trigger),
        f"{PROMPT_WITHOUT_PERSON}.text": place.prompt.text(place.word),
        f"{SEED}.noise_seed": place.seed,
        **({IMAGE_SWAPPED_IN: str(place.swapped_in[0].resolve())} if place.swapped_in else {}),
        **place.columns,
    }
    method = next(iter(drawing.outputs.values()))
    labels = {"method": method, "identity": place.identity, "prompt": place.prompt.number}
    labels |= {} if drawing.start_step is None else {"start_step": drawing.start_step, "scale": drawing.forward_scale}
    labels |= {"dataset": place.dataset} if place.dataset else {}
    row = {WORKFLOW: _graph_file(drawing)} | {LABEL + name: value for name, value in labels.items()}
    row |= {column: value for column, value in columns.items() if has(graph, column)}
    return row | _filled_in(graph, {IDENTITY_FIELD: place.identity, PROMPT_FIELD: place.prompt.text(place.word)})


def _filled_in(graph: Graph, fields: Mapping[str, str]) -> dict[str, str]:
    """The columns of a graph of the user's own that have fields in them, filled in."""
    columns = {}
    for node in graph.values():
        title = node.get("_meta", {}).get("title") or node["class_type"]
        for name, value in node["inputs"].items():
            if isinstance(value, str) and any(field in value for field in fields):
                for field_name, text in fields.items():
                    value = value.replace(field_name, text)
                columns[f"{title}.{name}"] = value
    return columns


def _graph_file(drawing: Drawing) -> str:
    return f"{GRAPHS}/{drawing.name}.json"


@dataclass(frozen=True)
class Collected:
    """records: of the pictures that were drawn, by dataset. left_out: places where a method lacks its picture.

    None counts there: a method that fails where others do not would gain by that.
    """

    records: dict[str, list[Record]]
    left_out: list[tuple[str, str, int]]


def records_of(
    rows: Iterable[Mapping],
    folder: Path,
    work: Sequence[tuple[Place, Sequence[Drawing]]],
    methods: Mapping[str, Sequence[str]],
) -> Collected:
    """The records of what a fleet has drawn, in the order of `work`.

    rows: of the fleet's ledger. folder: of the fleet, to which its files are relative. methods: those that are asked
    for of each dataset; a job may draw further ones.
    """
    graphs = {_graph_file(drawing): json.dumps(drawing.graph) for _, of_place in work for drawing in of_place}
    drawn = {
        (_content(row["row"], graphs), output.node): folder / output.file
        for row in rows
        for output in row["outputs"]
        if output.file
    }
    records, left_out = {}, []
    for place, of_place in work:
        pictures = {}
        for drawing in of_place:
            content = _content(row_of(place, drawing), graphs)
            for node, method in drawing.outputs.items():
                pictures[method, drawing.start_step, drawing.forward_scale] = drawn.get((content, node))
        if None in pictures.values():
            left_out.append((place.dataset, place.identity, place.prompt.number))
            continue
        scene = pictures.get((SCENE, None, None))
        wanted = [one for one in pictures if one[0] in methods[place.dataset]]
        found = records.setdefault(place.dataset, [])
        found += [_record(place, one, pictures[one], scene) for one in wanted]
    return Collected(records, left_out)


def calls_of(of_place: Sequence[Drawing]) -> dict[str, int]:
    """Guider calls of one picture, from its prompt on, by method."""
    found = {}
    for drawing in of_place:
        for node, method in drawing.outputs.items() if drawing.start_step is None else ():
            graph = pruned(drawing.graph, [node])
            found[method] = sum(guider_calls(graph, node_id) for node_id in graph)
    return found


def _content(row: Mapping, graphs: Mapping[str, str]) -> str:
    """What decides a job's pictures. Jobs that have it in common, whatever their labels, are one to the fleet.

    graphs: by their files.
    """
    columns = {name: value for name, value in row.items() if name != WORKFLOW and not name.startswith(LABEL)}
    for image in IMAGES & columns.keys():
        columns[image] = digest(Path(columns[image]))
    return digest_of(graphs[row[WORKFLOW]], json.dumps(columns, sort_keys=True))


def _record(place: Place, drawn: tuple[str, int | None, float | None], picture: Path, scene: Path | None) -> Record:
    method, start_step, forward_scale = drawn
    return Record(
        method,
        place.identity,
        place.prompt.number,
        place.seed,
        picture,
        place.prompt.text(place.word),
        references=(place.reference,),
        others=place.others,
        scene=scene,
        start_step=start_step,
        forward_scale=forward_scale,
        facts=place.facts,
        swapped_in=place.swapped_in[1:] if method == FUSION else (),
    )

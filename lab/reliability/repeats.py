"""The same result to the last bit: from two hosts, and after twenty other settings on the same loaded model."""

from collections.abc import Callable

from fuzz.client import Client
from fuzz.oracles import digests
from reliability import graphs
from reliability.report import Section

SERVERS = "Two hosts started one after the other give the same outputs to the last bit."
DRIFT = (
    "One graph is queued twenty times with other weights on the MODEL that the host keeps, and then as at first: the "
    "first and the last result are the same to the last bit, and the settings between them each give another result."
)
RISING = [round(0.04 * number, 2) for number in range(19)]
SETTINGS: dict[str, tuple[Callable[[int, float], dict], float]] = {
    "PhotoMaker, lora_strength": (lambda run, value: graphs.photomaker(run, lora_strength=value), 1.0),
    "InstantID, ip_adapter_scale": (lambda run, value: graphs.instantid(run, ip_adapter_scale=value), 0.8),
    "InstantID, controlnet_strength": (lambda run, value: graphs.instantid(run, controlnet_strength=value), 0.8),
    "LoRA of the forward flow, strength_model": (
        lambda run, value: _with(graphs.method(run), "lora", strength_model=value),
        1.0,
    ),
    "Triple-Flow Guider, forward_scale": (
        lambda run, value: _with(graphs.method(run), "flows", forward_scale=value),
        1.0,
    ),
    "BiMD Sampler, backward_scale": (
        lambda run, value: _with(graphs.method(run), "bimd", backward_scale=value),
        1.0,
    ),
}  # {what varies: (graph of a run and a value, the first value)}; RISING follows


def results(client: Client) -> dict[str, list]:
    """{title: digests} of every graph of these checks, each run once, for `two_hosts`."""
    whole = {"PhotoMaker": graphs.photomaker(), "PhotoMaker V1": graphs.photomaker(version=1)}
    whole |= {"InstantID": graphs.instantid(), "LoRA": graphs.method(), "Face Swap": graphs.face_swap()}
    found = {
        title: digests(client.run(graphs.shown(graph, ("sampled", 0))), ["sampled", 0])
        for title, graph in whole.items()
    }
    for title, (graph, target) in graphs.sampling_nodes().items():
        found[title] = digests(client.run(graphs.shown(graph, (target, 0))), [target, 0])
    return found


def two_hosts(first: dict[str, list], second: dict[str, list]) -> Section:
    """Compare the `results` of two hosts."""
    rows = [("graph", "both hosts")]
    rows += [(title, _same(first[title], second.get(title))) for title in first]
    return Section("Two fresh hosts", SERVERS, rows, all(row[1] == "identical" for row in rows[1:]))


def drift(client: Client) -> Section:
    """Queue each of SETTINGS again and again."""
    rows = [("weight", "settings", "different results", "first and last")]
    run = 5000
    for title, (make, first) in SETTINGS.items():
        values, outputs = [first, *RISING], []
        for value in [*values, values[0]]:
            run += 1
            answer = client.run(graphs.shown(make(run, value), ("sampled", 0)))
            outputs.append(digests(answer, ["sampled", 0]))
        different = len({str(output) for output in outputs[:-1]})
        rows.append((title, len(values), different, _same(outputs[0], outputs[-1])))
    held = all(row[1] == row[2] and row[3] == "identical" for row in rows[1:])
    return Section("Weights that change on a cached MODEL", DRIFT, rows, held)


def _with(graph: dict, node_id: str, **inputs) -> dict:
    graph[node_id]["inputs"].update(inputs)
    return graph


def _same(one, other) -> str:
    if not one or not other:
        return "no result"
    return "identical" if one == other else "different"

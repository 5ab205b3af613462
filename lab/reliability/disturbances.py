"""Interrupts and lack of memory in every node that samples, and the same result afterwards to the last bit."""

from fuzz.client import Answer, Client
from fuzz.oracles import digests
from reliability import graphs
from reliability.report import Section

CRITERION = (
    "Each node that samples is stopped at its second model call, once because memory runs out (the host's own "
    "exception, raised there) and once by an interrupt. It must end as the host reports such an end, and the next run "
    "must give the outputs of the run before to the last bit."
)
# The call at which the second kind stops: an interrupt at a node's last call would come too late.
CALL = 2


def disturb(client: Client) -> Section:
    """Run each of graphs.sampling_nodes undisturbed, disturbed, and undisturbed again, for both kinds."""
    rows = [("node", "out of memory", "run after it", "interrupted", "run after it")]
    held = True
    run = 1000
    for title in graphs.sampling_nodes():
        row = [title]
        reference = _run(client, title, run)
        for kind in ("memory", "interrupt"):
            client.post("/customenhancer_test/fail", {"node": "target", "call": CALL, "kind": kind})
            stopped = _run(client, title, run := run + 1)
            after = _run(client, title, run := run + 1)
            row += [_ending(stopped), _same(reference, after)]
            wanted = "out of memory" if kind == "memory" else "interrupted"
            held &= row[-2] == wanted and row[-1] == "identical"
        run += 1
        rows.append(row)
    return Section("Interrupted and out of memory", CRITERION, rows, held)


def _run(client: Client, title: str, run: int) -> Answer:
    graph, target = graphs.sampling_nodes(run)[title]
    slots = {"CE_InversionReport": 2}.get(graph[target]["class_type"], 2 if "CE_" in graph[target]["class_type"] else 1)
    if graph[target]["class_type"] == "CE_RecordResidualNoise":
        slots = 1
    return client.run(graphs.shown(graph, *((target, slot) for slot in range(slots))))


def _ending(answer: Answer) -> str:
    if "OutOfMemory" in answer.error.get("exception_type", ""):
        return "out of memory"
    return answer.ended


def _same(first: Answer, second: Answer) -> str:
    """Whether two answers' outputs are there and equal, and finite."""
    one, other = ([digests(answer, ["target", slot]) for slot in range(2)] for answer in (first, second))
    if not one[0] or not other[0]:
        return f"no result: {first.ended}, {second.ended}"
    if not all(found["finite"] for outputs in one for found in outputs):
        return "not finite"
    return "identical" if one == other else "different"

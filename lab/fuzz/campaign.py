"""One case after another: run it, judge it, and make the graph of a new fault small."""

import time

from fuzz.classifier import DEAD, HANG, OK, RAW, SILENT, STOCK, Verdict, classify, message_shape
from fuzz.client import Answer
from fuzz.control import control_graph, without_ours
from fuzz.findings import Findings, key
from fuzz.generator import Case, make_case
from fuzz.graphs import SAMPLER, ancestors, links
from fuzz.minimiser import minimise
from fuzz.oracles import anew, digests, judge, prepared, unlike
from fuzz.session import Session

REPEATED = 10  # every so many cases are run twice


class Campaign:
    """session: the host. findings: where faults go. smallest: prompts spent on one fault's graph."""

    def __init__(self, session: Session, findings: Findings, seed: int, smallest: int):
        self.session, self.findings, self.seed, self.smallest = session, findings, seed, smallest
        self.runs = 0

    def run(self, number: int) -> Verdict:
        """Run case `number` and report what is new about it."""
        case = make_case(self.session.schema, self.seed, number)
        started = time.monotonic()
        verdict = self.verdict(case.graph, repeat=number % REPEATED == 0)
        if self.findings.count(case, verdict, time.monotonic() - started):
            print(self.findings.keep(case, verdict, self.small(case, verdict)), flush=True)
        return verdict

    def verdict(self, graph: dict, repeat: bool = False) -> Verdict:
        """Run a graph, with all that can be checked about it."""
        schema = self.session.schema
        full = prepared(graph, schema)
        answer = self.session.run(full)
        verdict = classify(full, schema, answer)
        if verdict.kind == RAW and answer.error and self._is_stock(full, answer):
            return Verdict(STOCK, verdict.node, verdict.what)
        if verdict.is_fault:
            return verdict
        if wrong := judge(full, schema, answer) or self._files(full, answer):
            return wrong
        if repeat and verdict.kind == OK:
            self.runs += 1
            second = self.session.run(anew(full, self.runs))
            again = classify(full, schema, second)
            return again if again.is_fault else unlike(full, schema, answer, second) or verdict
        return verdict

    def _files(self, full: dict, answer: Answer) -> Verdict | None:
        """What was saved is new, and equal when it is loaded."""
        for node_id, name, back in self.session.reload(full, answer):
            node = full[node_id]["class_type"]
            if name in self.session.files:
                return Verdict(SILENT, node, f"{name} was overwritten", "overwritten")
            self.session.files.append(name)
            was, now = digests(answer, [node_id, 0]), digests(back, ["load", 0])
            if was and [found["hash"] for found in was] != [found["hash"] for found in now]:
                what = f"{name} cannot be loaded as it was saved: {back.error.get('exception_message') or back.body}"
                return Verdict(SILENT, node, what, "not loaded as saved")
        return None

    def _is_stock(self, full: dict, answer: Answer) -> bool:
        """Whether the stock sampler fails in the same way on what our node was given, with nothing else perturbed.

        Or whether a stock sampler node that runs one of our guiders or samplers fails in the same way without them.
        """
        node_id = answer.error["node_id"]
        node = full[node_id]
        if node["class_type"] == SAMPLER and self._fails_alike(without_ours(full, node_id), answer):
            return True
        given = dict(links(node))
        guiders = [link for name, link in given.items() if name in ("guider", "pivot_flow", "forward_flow")]
        if not guiders and {"model", "positive", "negative"} <= given.keys():
            guiders = [["control guider", 0]]
        for guider in guiders:
            if any(full[other]["class_type"].startswith("CE_") for other in ancestors(full, guider[0])):
                continue
            if self._fails_alike(control_graph(full, guider, given), answer):
                return True
        return False

    def _fails_alike(self, control: dict, answer: Answer) -> bool:
        again = self.session.run(control)
        return bool(again.error) and _cause(again) == _cause(answer)

    def small(self, case: Case, verdict: Verdict) -> dict:
        """The smallest graph with the same fault."""

        def fails(graph: dict) -> bool:
            return key(self.verdict(graph, repeat=verdict.shape.endswith("not repeated"))) == key(verdict)

        budget = self.smallest if verdict.kind not in (DEAD, HANG) else 3  # each costs a new host
        culprits = {node_id for node_id, node in case.graph.items() if node["class_type"] == verdict.node}
        outputs = {
            node_id for node_id, node in case.graph.items() if self.session.schema[node["class_type"]]["output_node"]
        }
        return minimise(case.graph, self.session.schema, fails, culprits or outputs or {case.target}, budget)


def _cause(answer: Answer) -> tuple[str, str]:
    return answer.error["exception_type"], message_shape(answer.error["exception_message"])

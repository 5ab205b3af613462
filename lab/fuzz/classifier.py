"""Says what an answer of the host is worth: which error is ours, and which of ours are meant."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from fuzz.client import Answer
from fuzz.graphs import ancestors, is_ours, links, spec

OK, REFUSED, STOCK, SLOW = "ok", "refused", "stock error", "slow"
RAW, NAN, SILENT, DEAD, HANG = "RAW", "NaN", "SILENT WRONG", "dead worker", "hang"
FAULTS = (RAW, NAN, SILENT, DEAD, HANG)
# Exceptions that our checks raise on purpose, and what the host makes of their names.
MEANT = {"ValueError", "TypeError", "FileNotFoundError", "OSError", "RuntimeError"}
PACK = re.compile(r"custom_nodes[/\\]ComfyUI-CustomEnhancer[/\\]")


@dataclass(frozen=True)
class Verdict:
    """kind: one of the classes above. node: the class that failed. what: one line. shape: what makes two the same."""

    kind: str
    node: str = ""
    what: str = ""
    shape: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it fails a run."""
        return self.kind in FAULTS


def classify(graph: Mapping, schema: Mapping, answer: Answer) -> Verdict:
    """The verdict on a prompt by its answer alone; what the values say is judged by oracles.py."""
    if answer.ended == "dead":
        return Verdict(DEAD, what=one_line(answer.body), shape="dead")
    if answer.ended == "hang":
        return Verdict(HANG, what="it went on after an interrupt", shape="hang")
    if answer.ended == "interrupted":
        return Verdict(SLOW, what=f"interrupted after {answer.seconds:.0f} s")
    if answer.ended == "error":
        return _execution_error(graph, schema, answer.error)
    for node_id, found in answer.node_errors.items():
        for reason in found["errors"]:
            if verdict := _validation_error(graph, node_id, reason):
                return verdict
    refusals = [
        f"{found['class_type']}: {reason['message']}: {reason['details']}"
        for found in answer.node_errors.values()
        for reason in found["errors"]
    ]
    if answer.ended == "refused":
        if answer.status >= 500 and PACK.search(answer.body):
            return Verdict(RAW, "", one_line(answer.body), message_shape(answer.body))
        return Verdict(REFUSED if answer.status < 500 else STOCK, what=one_line("; ".join(refusals) or answer.body))
    return Verdict(REFUSED if refusals else OK, what=one_line("; ".join(refusals)))


def _execution_error(graph, schema, error) -> Verdict:
    class_type, message = error["node_type"], error["exception_message"]
    what = f"{error['exception_type']}: {one_line(message)}"
    if not is_ours(graph, error["node_id"]) and not _raised_by_us(error["traceback"]):
        return Verdict(STOCK, class_type, what)
    if error["exception_type"] in MEANT and names_input(message, input_names(graph, schema, error["node_id"])):
        return Verdict(REFUSED, class_type, what)
    place = _last_own_frame(error["traceback"])
    return Verdict(RAW, class_type, f"{what} (in {place})", f"{error['exception_type']} in {place}")


def _frames(traceback: list[str]) -> list[tuple[str, str]]:
    """(file, function) from the outermost to where it was raised."""
    return re.findall(r'File "([^"]+)", line \d+, in (\w+)', "".join(traceback))


def _raised_by_us(traceback: list[str]) -> bool:
    """Whether code of ours raised it, or a package that it called: a patch of ours in a stock sampler, say."""
    frames = [file for file, _ in _frames(traceback) if "site-packages" not in file]
    return bool(frames) and bool(PACK.search(frames[-1]))


def _last_own_frame(traceback: list[str]) -> str:
    """Where in the pack an exception went through last, as in "checks.py check_mask": one place, one fault."""
    frames = _frames(traceback)
    own = [(file, name) for file, name in frames if PACK.search(file)]
    file, name = own[-1] if own else frames[-1] if frames else ("", "")
    return f"{PurePath(file).name} {name}"


def _validation_error(graph, node_id, reason) -> Verdict | None:
    """RAW if a validation of ours raised instead of answering. The host's own KeyErrors on bad links are not ours."""
    extra = reason.get("extra_info", {})
    if not reason["type"].startswith("exception_during") or not PACK.search("".join(extra.get("traceback", ()))):
        return None
    what = f"validation: {extra['exception_type']}: {one_line(reason['details'])}"
    return Verdict(RAW, graph[node_id]["class_type"], what, message_shape(what))


def input_names(graph: Mapping, schema: Mapping, node_id: str) -> set[str]:
    """The names that an error of a node may begin with: its inputs, and those of what its guider and sampler hold.

    A flow is checked when it is sampled, so the message names the input of the node that made the flow.
    """
    names = set(spec(schema, graph[node_id]["class_type"]))
    for name, link in links(graph[node_id]):
        if name in ("guider", "sampler", "pivot_flow", "forward_flow", "model", "positive", "negative"):
            names |= set(spec(schema, graph[link[0]]["class_type"])) if link[0] in graph else set()
            for other in ancestors(graph, link[0]):
                if is_ours(graph, other):
                    names |= set(spec(schema, graph[other]["class_type"]))
    return names


def names_input(message: str, names: set[str]) -> bool:
    """Whether a message begins with the name of an input and goes on in words, as in "sigmas: must descend"."""
    start = re.match(r"\s*(\w+)(?:[:,]| and | is | has | of )\s*\S", message)
    return bool(start) and start[1] in names


def one_line(text: str, length: int = 300) -> str:
    """A text for a report: on one line, printable everywhere, not endless."""
    text = " ".join(str(text).split()).encode("ascii", "backslashreplace").decode()
    text = re.sub(r"[\x00-\x1f\x7f]", lambda control: f"\\x{ord(control[0]):02x}", text)
    return text if len(text) <= length else f"{text[:length]}..."


def message_shape(message: str) -> str:
    """A message without what differs from case to case: numbers, quoted names, addresses."""
    text = one_line(message, 2000)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'_'", text)
    text = re.sub(r"0x[0-9a-f]+|-?\d[\d.e+-]*", "#", text)
    text = re.sub(r"(?:#[, x]*)+", "# ", text)
    return text[:120]

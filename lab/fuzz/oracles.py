"""What a result must be: finite, as many pictures as went in, the inverted picture given back, and the same again."""

import copy
import json
import math
from collections.abc import Iterator, Mapping

from fuzz.classifier import NAN, SILENT, Verdict
from fuzz.client import Answer
from fuzz.graphs import SAMPLER, ancestors, is_judged, is_link, is_ours, links, spec, with_probes
from fuzz.producers import CHECKPOINT

EXACT = 1e-5  # of the latent's scale
# Which output has one picture, mask or latent for each item of which input. ":shape" compares all lengths.
KEPT = {
    "CE_FaceSwap": [("image", 0, 3), ("image", 1, 3)],
    "CE_FaceKeypoints": [("image", 0, 1)],
    "CE_IdentitySimilarity": [("image", 1, 1)],
    "CE_PictureScores": [("image", 3, 1)],
    "CE_DDIMInversion": [("latent_image", 1, 9)],
    "CE_ResInversion": [("latent_image", 1, 9)],
    "CE_ReNoiseInversion": [("latent_image", 1, 9)],
    "CE_NullTextInversion": [("latent_image", 1, 9)],
    "CE_NoisePivot": [("latent_image", 1, 9)],
    "CE_ShiftPivot": [("latent_image", 1, 9)],
    "CE_RecordTrajectory": [("latent_image", 0, 9)],
    "CE_TripleFlowSample": [("latent_image", 0, 9)],
}


def prepared(graph: Mapping, schema: Mapping) -> dict:
    """The graph with all that the oracles look at: digests, a way back for each inversion, untouched pixels."""
    full = {node_id: copy.deepcopy(node) for node_id, node in graph.items()}
    # The host forgets what the next prompt does not name: loading the checkpoint again takes longer than most prompts.
    full["kept"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}}
    full["kept/0"] = {"class_type": "TestDigest", "inputs": {"value": ["kept", 0]}}
    for node_id, node in graph.items():
        if node["class_type"] == "CE_ResInversion":
            full |= _way_back(node_id, node)
        if node["class_type"] == "CE_FaceSwap" and is_link(node["inputs"].get("image")):
            inputs = {"before": node["inputs"]["image"], "after": [node_id, 0], "mask": [node_id, 1]}
            full[f"untouched {node_id}"] = {"class_type": "TestUntouchedPixels", "inputs": inputs}
    return with_probes(full, schema)


def _way_back(node_id: str, node: Mapping) -> dict:
    """The inversion sampled back by the guider that it was made with, and its difference from the picture."""
    inputs = node["inputs"]
    if not all(is_link(inputs.get(name)) for name in ("guider", "sigmas", "latent_image")):
        return {}
    name = f"back {node_id}"
    run = {"noise": [f"{name} noise", 0], "guider": inputs["guider"], "sampler": [f"{name} bimd", 0]}
    run |= {"sigmas": inputs["sigmas"], "latent_image": [node_id, 1]}
    return {
        f"{name} noise": {"class_type": "DisableNoise", "inputs": {}},
        f"{name} bimd": {"class_type": "CE_BiMDSampler", "inputs": {"residual_noise": [node_id, 0]}},
        f"{name} sampled": {"class_type": SAMPLER, "inputs": run},
        name: {
            "class_type": "TestLatentDifference",
            "inputs": {"a": inputs["latent_image"], "b": [f"{name} sampled", 0]},
        },
    }


def judge(graph: Mapping, schema: Mapping, answer: Answer) -> Verdict | None:
    """The first fault that the values of a `prepared` graph show, or None."""
    checks = (_not_finite, _accepted_nan, _count_lost, _not_back, _touched, _face_unused)
    return next((verdict for check in checks for verdict in check(graph, schema, answer)), None)


def digests(answer: Answer, link) -> list[dict]:
    """What TestDigest saw on a link: one for each item of a list; [] where it never ran."""
    return [json.loads(text) for text in answer.text(f"{link[0]}/{link[1]}")] if is_link(link) else []


def _not_finite(graph, schema, answer) -> Iterator[Verdict]:
    """NaN from finite inputs, at the first node that made it."""
    for node_id, node in graph.items():
        if not is_ours(graph, node_id):
            continue
        given = [found for _, link in links(node) for found in digests(answer, link)]
        if not all(found["finite"] for found in given):
            continue
        for slot, kind in enumerate(schema[node["class_type"]]["output"]):
            if is_judged(kind) and not all(found["finite"] for found in digests(answer, [node_id, slot])):
                what = f"output {slot} holds NaN or Inf, and no input does"
                yield Verdict(NAN, node["class_type"], what, f"NaN in output {slot}")


def _accepted_nan(graph, schema, answer) -> Iterator[Verdict]:
    """A float input of ours that is no finite number, in a node that ran to its end."""
    for node_id, node in graph.items():
        if not node["class_type"].startswith("CE_") or not answer.text(f"{node_id}/0"):
            continue
        for name, (_, kind, options) in spec(schema, node["class_type"]).items():
            value = node["inputs"].get(name)
            if kind != "FLOAT" or options.get("forceInput"):
                continue
            given = [found["finite"] for found in digests(answer, value)]
            given += [math.isfinite(value)] if isinstance(value, float) else []
            if not all(given):
                yield Verdict(SILENT, node["class_type"], f"{name}: NaN or Inf was accepted", f"{name} accepts NaN")


def _count_lost(graph, schema, answer) -> Iterator[Verdict]:
    for node_id, node in graph.items():
        for name, slot, lengths in KEPT.get(node["class_type"], ()):
            before, after = digests(answer, node["inputs"].get(name)), digests(answer, [node_id, slot])
            if len(before) != 1 or len(after) != 1 or not before[0]["shapes"] or not after[0]["shapes"]:
                continue
            was, now = _kept(before[0], name, lengths), _kept(after[0], name, lengths)
            if was != now:
                what = f"{name} is {was}, output {slot} is {now}"
                yield Verdict(SILENT, node["class_type"], what, f"output {slot} does not keep {name}")


def _kept(found: dict, name: str, lengths: int) -> list[int]:
    """The first lengths of a picture's shape; of a latent's samples, which come after its noise mask, all but one.

    The host gives a latent of zeros the model's channels.
    """
    if "latent" in name:
        return [*found["shapes"][-1][:1], *found["shapes"][-1][2:]]
    return found["shapes"][0][:lengths]


def _not_back(graph, schema, answer) -> Iterator[Verdict]:
    for node_id, node in graph.items():
        off = answer.text(f"back {node_id}")
        latent = digests(answer, node["inputs"].get("latent_image"))
        if off and latent and latent[0]["finite"]:
            scale = max(latent[0]["largest"], 1.0)
            if not float(off[0]) <= EXACT * scale:
                what = f"sampled back, the picture is off by {float(off[0]):.3g} of {scale:.3g}"
                yield Verdict(SILENT, node["class_type"], what, "does not come back")


def _touched(graph, schema, answer) -> Iterator[Verdict]:
    for node_id, node in graph.items():
        off = answer.text(f"untouched {node_id}")
        if off and float(off[0]) != 0:
            what = f"pixels where the mask is 0 differ by {float(off[0]):.3g}"
            yield Verdict(SILENT, node["class_type"], what, "untouched pixels differ")


def _face_unused(graph, schema, answer) -> Iterator[Verdict]:
    """InstantID's conditioning sampled to the end with a MODEL that never saw its face."""
    for node_id, node in graph.items():
        if node["class_type"] != SAMPLER or not answer.text(f"{node_id}/0"):
            continue
        for other in ancestors(graph, node_id):
            model = graph[other]["inputs"].get("model")
            for name, (source, slot) in links(graph[other]):
                if name == "negative" and graph[other]["inputs"].get("cfg") == 1:
                    continue  # the host never asks for it
                face = graph.get(source, {})
                if face.get("class_type") != "CE_InstantIDForwardFlow" or slot != 1 or not is_link(model):
                    continue
                acts = face["inputs"].get("ip_adapter_scale", 0.8) != 0
                if acts and source not in ancestors(graph, model[0]):
                    what = "its positive was sampled with a MODEL that is not its own"
                    yield Verdict(SILENT, "CE_InstantIDForwardFlow", what, "face unused")


def anew(graph: Mapping, run: int) -> dict:
    """The graph with every model fresh to the host's cache: all that samples is computed again."""
    again = copy.deepcopy(dict(graph))
    for node in again.values():
        if node["class_type"] == "TestFresh":
            node["inputs"]["run"] = run
    return again


def unlike(graph: Mapping, schema: Mapping, first: Answer, second: Answer) -> Verdict | None:
    """A node of ours whose outputs differ between two runs of one graph, the first in the graph's order."""
    for node_id, node in graph.items():
        if not is_ours(graph, node_id):
            continue
        for slot in range(len(schema[node["class_type"]]["output"])):
            one, other = digests(first, [node_id, slot]), digests(second, [node_id, slot])
            if one and other and one != other and not _counts_seconds(node, slot):
                what = f"output {slot} is another one when the prompt is repeated"
                return Verdict(SILENT, node["class_type"], what, f"output {slot} not repeated")
    return None


def _counts_seconds(node, slot) -> bool:
    """Inversion Report puts out the seconds that it took."""
    return node["class_type"] == "CE_InversionReport" and slot == 2


def saved(graph: Mapping, answer: Answer) -> Iterator[tuple[str, str]]:
    """(node id, name for the load node) of each recording that a prompt has saved."""
    for node_id, outputs in answer.outputs.items():
        for file in outputs.get("recordings", ()):
            yield node_id, f"{file['subfolder']}/{file['filename']} [output]".lstrip("/")


def loaded(class_type: str, name: str) -> dict:
    """A prompt that loads what a save node of `class_type` has saved."""
    load = class_type.replace("CE_Save", "CE_Load")
    field = "residual_noise_name" if "Residual" in load else "pivot_name"
    return {
        "load": {"class_type": load, "inputs": {field: name}},
        "load/0": {"class_type": "TestDigest", "inputs": {"value": ["load", 0]}},
    }

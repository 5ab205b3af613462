"""What a rehearsal found, as one Markdown table: a column for each flow."""

from collections.abc import Iterator, Mapping

from benchmarks.tables import table
from rehearsal.graphs import PRECISIONS, SCENE, TRIPLE

GIB, MIB = 1 << 30, 1 << 20
# The nodes of each row: by the title of one node, or by the classes of several.
NODES = {
    "loading the checkpoint": ("CheckpointLoaderSimple",),
    "loading identity files": ("CE_PhotoMakerLoader", "CE_InstantIDLoader", "ControlNetLoader", "LoraLoader"),
    "reading texts": ("CLIPTextEncode",),
    "finding and swapping faces": ("CE_FaceAnalysisLoader", "CE_FaceSwapperLoader", "CE_FaceSwap"),
    "identity": ("CE_PhotoMakerForwardFlow", "CE_InstantIDForwardFlow"),
    "VAE": ("VAEDecode", "VAEEncode"),
    "scene": SCENE,
    "ResInversion": ("CE_ResInversion",),
    "three flows": TRIPLE,
    "reconstruction": "Sample the reconstruction",
}
PATCHED = ("UNet weights", "text encoder weights", "attention layers", "control tensors")
NOTES = """\
- Seconds are those of the clock, which say little where other programs run beside this one; in brackets, the host's own
  processor time, of all its threads.
- Scene, ResInversion, three flows and reconstruction ask guiders: so many times each. Entering the forward flow is in
  the seconds of the three flows, and so is what it takes to give the UNet the other flow's weights.
- Memory is that of the host's process; in brackets, with pages of files that are mapped into it, which the system can
  take back; behind a semicolon, what of the accelerator is in use by anyone.
- Reconstruction: ResInversion, and BiMD with the forward flow off, against the latent that was inverted, the largest
  difference in the latent's own units; effect: the three flows against that.
- LoRA applications: in the sampling of the three flows, weights of the UNet that patches were worked into, as a
  multiple of those that have any.
- Random weights: the pictures show nothing, and no likeness is measured here."""


def markdown(results: Mapping) -> str:
    """The whole page. results: as in the JSON file."""
    flows = results["flows"]
    parts = ["# Rehearsal at real size", "\n".join(f"- {name}: {value}" for name, value in results["about"].items())]
    parts.append(table(["", *flows], ([label, *cells] for label, cells in _rows(flows.values()))))
    reports = {name: flow["loading"] for name, flow in flows.items() if flow["loading"]}
    listed = "\n".join(f"- {name}: `{line}`" for name, lines in reports.items() for line in lines)
    parts += ["## What the loaders reported", listed or "Nothing: no file lacked a tensor, and none was left."]
    parts += ["## Notes", NOTES]
    return "\n\n".join(parts) + "\n"


def _rows(flows) -> Iterator[tuple[str, list[str]]]:
    flows = list(flows)
    yield "loaders' reports", [str(len(flow["loading"])) for flow in flows]
    for what in PATCHED:
        yield f"{what} from files", [_count(flow.get("patched", {}).get(what)) for flow in flows]
    taken = [{row: _of(flow["nodes"].values(), row) for row in NODES} for flow in flows]
    for row in NODES:
        if any(each[row].get("guider_calls") for each in taken):
            yield f"guider calls, {row}", [_count(each[row].get("guider_calls")) for each in taken]
    for row in NODES:
        yield f"seconds, {row}", [_seconds(each[row]) for each in taken]
    whole = [_together(list(flow["nodes"].values())) for flow in flows]
    yield (
        "seconds, all",
        [_seconds({**each, "seconds": flow["seconds"]}) for each, flow in zip(whole, flows, strict=True)],
    )
    for row in NODES:
        yield f"peak memory, GiB, {row}", [_memory(each[row]) for each in taken]
    yield "peak memory, GiB, all", [_memory(each) for each in whole]
    yield (
        "deviation of the result, of the model's own latents",
        [_number(flow.get("latent", {}).get("deviation")) for flow in flows],
    )
    yield "reconstruction, largest error", [_number(flow.get("error")) for flow in flows]
    for precision in PRECISIONS:
        yield f"the same, computing in {precision}", [_number(flow.get("errors", {}).get(precision)) for flow in flows]
    for precision in PRECISIONS[1:]:
        yield (
            f"noise in {precision}, difference from fp32's",
            [_number(flow.get("moved", {}).get(precision)) for flow in flows],
        )
    yield "effect of the forward flow, largest", [_number(flow.get("effect")) for flow in flows]
    yield "LoRA applications", [_number(flow.get("applications")) for flow in flows]
    yield "tensors after /free, MiB", [f"{flow['held']['tensors'] / MIB:.0f}" for flow in flows]
    yield "memory after /free, GiB", [_memory(flow["held"]) for flow in flows]


def _of(nodes, row: str) -> dict:
    wanted = NODES[row]
    chosen = [
        node for node in nodes if (node["title"] == wanted if isinstance(wanted, str) else node["class_type"] in wanted)
    ]
    return _together(chosen)


def _together(nodes: list[dict]) -> dict:
    if not nodes:
        return {}
    sums = {key: sum(node.get(key, 0) for node in nodes) for key in ("seconds", "processor", "guider_calls")}
    return {**sums, **{key: max(node[key] for node in nodes) for key in ("process", "resident", "device")}}


def _count(value: int | None) -> str:
    return str(value) if value else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _seconds(taken: dict) -> str:
    return f"{taken['seconds']:.1f} ({taken['processor']:.1f})" if taken else ""


def _memory(taken: dict) -> str:
    if not taken:
        return ""
    device = f"; {taken['device'] / GIB:.1f}" if taken["device"] else ""
    return f"{taken['process'] / GIB:.1f} ({taken['resident'] / GIB:.1f}){device}"

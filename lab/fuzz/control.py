"""The controls of an error, so that a stock error is not called ours: what it was given, in stock nodes alone."""

from collections.abc import Mapping

from fuzz.graphs import OURS, SAMPLER, is_ours, pruned
from fuzz.producers import CHECKPOINT


def control_graph(full: Mapping, guider: list, given: Mapping) -> dict:
    """A guider by itself in SamplerCustomAdvanced: two steps on an empty latent, of the node's own sampler or of euler.

    guider: a link, or ["control guider", 0] for a CFGGuider of the model and conditionings in `given`, links by input.
    """
    sampler = given.get("sampler", ["control euler", 0])
    if full.get(sampler[0], {}).get("class_type", "").startswith(OURS):
        sampler = ["control euler", 0]
    conds = {name: given[name] for name in ("model", "positive", "negative") if name in given}
    return _sampled(full, {"guider": guider, "sampler": sampler, **OWN}, conds)


def without_ours(full: Mapping, node_id: str) -> dict:
    """A stock sampler node with a stock guider and sampler in the place of ours; all else is given to it as it was."""
    inputs = dict(full[node_id]["inputs"])
    for name, stock in (("guider", "control guider"), ("sampler", "control euler")):
        if is_ours(full, inputs[name][0]):
            inputs[name] = [stock, 0]
    return _sampled(full, inputs, {"positive": ["control text", 0], "negative": ["control text", 0]})


OWN = {"sigmas": ["control sigmas", 0], "latent_image": ["control latent", 0], "noise": ["control noise", 0]}


def _sampled(full: Mapping, inputs: Mapping, conds: Mapping) -> dict:
    """The graph around a stock sampler node with these inputs. conds: of the CFGGuider that they may name."""
    schedule = {"model": ["control checkpoint", 0], "scheduler": "normal", "steps": 2, "denoise": 1.0}
    added = {
        "control guider": ("CFGGuider", {"model": ["control checkpoint", 0], **conds, "cfg": 3.0}),
        "control text": ("CLIPTextEncode", {"clip": ["control checkpoint", 1], "text": "a man"}),
        "control checkpoint": ("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}),
        "control sigmas": ("BasicScheduler", schedule),
        "control latent": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "control noise": ("RandomNoise", {"noise_seed": 1}),
        "control euler": ("KSamplerSelect", {"sampler_name": "euler"}),
        "control sampled": (SAMPLER, dict(inputs)),
        "control/0": ("TestDigest", {"value": ["control sampled", 0]}),
    }
    nodes = {node_id: {"class_type": kind, "inputs": inputs} for node_id, (kind, inputs) in added.items()}
    return pruned({**full, **nodes}, {"control/0"})

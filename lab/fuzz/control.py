"""The control of an error: the same guider or model in the stock sampler, so that a stock error is not called ours."""

from collections.abc import Mapping

from fuzz.graphs import OURS, pruned
from fuzz.producers import CHECKPOINT


def control_graph(full: Mapping, guider: list, given: Mapping) -> dict:
    """A guider by itself in SamplerCustomAdvanced: two steps on an empty latent, of the node's own sampler or of euler.

    guider: a link, or ["control guider", 0] for a CFGGuider of the model and conditionings in `given`, links by input.
    """
    sampler = given.get("sampler", ["control euler", 0])
    if full.get(sampler[0], {}).get("class_type", "").startswith(OURS):
        sampler = ["control euler", 0]
    conds = {name: given[name] for name in ("model", "positive", "negative") if name in given}
    schedule = {"model": ["control checkpoint", 0], "scheduler": "normal", "steps": 2, "denoise": 1.0}
    sampling = {"guider": guider, "sigmas": ["control sigmas", 0], "latent_image": ["control latent", 0]}
    added = {
        "control guider": ("CFGGuider", {**conds, "cfg": 3.0}),
        "control checkpoint": ("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}),
        "control sigmas": ("BasicScheduler", schedule),
        "control latent": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "control noise": ("RandomNoise", {"noise_seed": 1}),
        "control euler": ("KSamplerSelect", {"sampler_name": "euler"}),
        "control sampled": (
            "SamplerCustomAdvanced",
            {**sampling, "noise": ["control noise", 0], "sampler": sampler},
        ),
        "control/0": ("TestDigest", {"value": ["control sampled", 0]}),
    }
    nodes = {node_id: {"class_type": kind, "inputs": inputs} for node_id, (kind, inputs) in added.items()}
    return pruned({**full, **nodes}, {"control/0"})

"""Count what the executing node asks of a model: guider calls and sample-forwards."""

import functools
from collections import defaultdict

import comfy.model_base
import comfy.samplers
from comfy_execution.utils import get_executing_context

# prompt id -> node id -> counts
_counts = defaultdict(lambda: defaultdict(lambda: {"guider_calls": 0, "model_forwards": 0}))


def _add(name, amount):
    context = get_executing_context()
    if context is not None:
        _counts[context.prompt_id][context.node_id][name] += amount


def counts_of(prompt_id):
    """Return {node id: {"guider_calls": n, "model_forwards": n}} of one prompt; empty if it called no model.

    A guider call is one noise prediction by one CFGGuider, whatever the guidance: a guider nested in another counts for
    itself. Model forwards are counted in batch rows, so a guided prediction of one picture is two.
    """
    return {node: dict(counts) for node, counts in _counts[prompt_id].items()} if prompt_id in _counts else {}


def install():
    """Wrap the host's guider and model calls. The results pass through untouched."""
    predict_noise = comfy.samplers.CFGGuider.outer_predict_noise
    apply_model = comfy.model_base.BaseModel.apply_model

    @functools.wraps(predict_noise)
    def counted_predict_noise(self, *args, **kwargs):
        _add("guider_calls", 1)
        return predict_noise(self, *args, **kwargs)

    @functools.wraps(apply_model)
    def counted_apply_model(self, x, *args, **kwargs):
        _add("model_forwards", x.shape[0])
        return apply_model(self, x, *args, **kwargs)

    comfy.samplers.CFGGuider.outer_predict_noise = counted_predict_noise
    comfy.model_base.BaseModel.apply_model = counted_apply_model

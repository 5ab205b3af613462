"""Values below an input's least, which widgets keep out and links let in: an error that names the input."""

import pytest
import torch
from customenhancer.nodes.baselines import NullTextInversionNode, ReNoiseInversionNode
from customenhancer.nodes.flows import TripleFlowGuiderNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode
from customenhancer.nodes.seeing import PivotPreviewNode
from customenhancer.nodes.sweeps import ContactSheetNode
from helpers.sampling import picture, schedule
from standins.analytic import conditioning, gaussian_model, guider


def run(node, **linked):
    model = gaussian_model()
    flow, sigmas, latent = guider(model), schedule(model, steps=4), picture()
    if node in (RecordResidualNoiseNode, PivotPreviewNode):
        pivot = DDIMInversionNode.execute(flow, sigmas, latent).result[0]
        given = [flow, pivot] if node is RecordResidualNoiseNode else [pivot, model, None]
    else:
        given = {
            ContactSheetNode: [[torch.zeros(1, 8, 8, 3)]],
            NullTextInversionNode: [model, conditioning(0.5, 0.8), conditioning(0.0, 1.0), sigmas, latent],
            ReNoiseInversionNode: [flow, sigmas, latent],
            TripleFlowGuiderNode: [flow, guider(model)],
        }[node]
    return node.execute(*given, **linked)


@pytest.mark.parametrize(
    ("node", "name", "least"),
    [
        (ContactSheetNode, "columns", 1),
        (NullTextInversionNode, "inner_steps", 0),
        (PivotPreviewNode, "count", 2),
        (RecordResidualNoiseNode, "steps_per_call", 1),
        (ReNoiseInversionNode, "iterations", 0),
        (ReNoiseInversionNode, "regularisation_steps", 0),
        (TripleFlowGuiderNode, "start_step", 0),
    ],
)
@pytest.mark.parametrize("below", [1, 3])
def test_a_value_below_the_least_is_refused(node, name, least, below):
    (shown,) = [given for given in node.define_schema().inputs if given.id == name]
    assert shown.min == least
    value = least - below
    with pytest.raises(ValueError, match=f"^{name}: {value} is below {least}. Set it to {least} or more.$"):
        run(node, **{name: [value] if node is ContactSheetNode else value})

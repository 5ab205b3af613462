"""Null-text inversion of a personalised MODEL, and what it must leave as it was."""

import torch
from customenhancer.nodes.baselines import NullTextInversionNode

from helpers.sampling import picture, schedule


def null_text_of(flow, steps=3, latent=None, **options):
    """The node's output. flow: (MODEL, positive, negative); options: of the node."""
    model, positive, negative = flow
    options = {"inner_steps": 2, "early_stop": -1.0, **options}
    return NullTextInversionNode.execute(
        model, positive, negative, schedule(model, steps), latent or picture(), **options
    )


def state(model):
    """All that gradients could have changed in a MODEL's modules."""
    weights = model.model.state_dict(keep_vars=True)
    return {
        name: (torch.hash_tensor(weight).item(), weight.data_ptr(), weight.requires_grad, weight.grad)
        for name, weight in weights.items()
    } | {name: vars(module).get("forward") for name, module in model.model.named_modules()}

"""Count what a method asks of a model: guider calls, and the network's forwards and backwards in batch rows."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import comfy.samplers


@dataclass
class Counts:
    """guider_calls: predictions of a guider, whatever the guidance; null text's optimisation asks the model past it.

    forwards, backwards: of the network, in batch rows: a guided prediction of one picture is two forwards. What
    gradient checkpointing runs again belongs to the backward pass, and is not a forward here.
    """

    guider_calls: int = 0
    forwards: int = 0
    backwards: int = 0


@contextlib.contextmanager
def counted(model) -> Iterator[Counts]:
    """Count while it is entered; then the host is as before. model: a MODEL."""
    counts = Counts()
    # The class, not the one network: to load a model whole, for gradients, the host may make another of it.
    network = type(model.model.diffusion_model)
    forward, predict = network.forward, comfy.samplers.CFGGuider.outer_predict_noise

    def count_backward(rows: int, _) -> None:
        counts.backwards += rows

    @functools.wraps(forward)
    def counted_forward(self, x, *args, **kwargs):
        counts.forwards += len(x)
        output = forward(self, x, *args, **kwargs)
        if output.requires_grad:
            output.register_hook(functools.partial(count_backward, len(x)))
        return output

    @functools.wraps(predict)
    def counted_predict(*args, **kwargs):
        counts.guider_calls += 1
        return predict(*args, **kwargs)

    network.forward = counted_forward
    comfy.samplers.CFGGuider.outer_predict_noise = counted_predict
    try:
        yield counts
    finally:
        network.forward = forward
        comfy.samplers.CFGGuider.outer_predict_noise = predict

"""The forward flow's scale at each step."""

from collections.abc import Sequence


def forward_scales(
    steps: int, start_step: int, forward_scale: float, curve: Sequence[float] | None = None
) -> list[float]:
    """The forward flow's scale at each step, counted from the noisiest: 0 before start_step, forward_scale from it on.

    steps: N >= 1. start_step: the paper's manipulation starting step (MSS), >= 0; at N or beyond the flow never acts.
    curve: N factors of forward_scale, noisiest step first; None is 1 throughout. Raises ValueError for another number.
    """
    curve = [1.0] * steps if curve is None else curve
    check_one_per_step("curve", curve, steps)
    return [forward_scale * curve[k] if k >= start_step else 0.0 for k in range(steps)]


def check_one_per_step(name: str, values: Sequence[float], steps: int) -> None:
    """Raise ValueError unless the argument `name` has one value for each of the steps."""
    if len(values) != steps:
        raise ValueError(
            f"{name}: has {len(values)} values, but there are {steps} steps. Give one for each step, noisiest first."
        )

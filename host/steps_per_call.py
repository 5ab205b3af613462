"""Several steps of a schedule in one guider call: which conditioning holds for each row of such a batch."""

from collections.abc import Callable, Iterator

import comfy.conds
from torch import Tensor

from ..resinversion import Recording
from .call_order import answers_alike, controls_of, has_keyframes, spread_steps
from .triple_flow_model import TripleFlowModel

REMEDY = "Set steps_per_call to 1."
# By how much, as a fraction of the greatest prediction, a row of a batch may differ from itself alone: half precision
# sums in another order.
ALIKE_IN_A_BATCH = 1e-2


def check_steps_per_call(guider, sigmas: Tensor, batch: int, steps_per_call: int) -> None:
    """Raise ValueError where an entered guider would not treat several steps in a batch as one step at a time.

    The host applies start and end ranges by the first row's sigma, and repeats per-picture conditioning along the
    batch; that is right only if its length divides the pictures of a step.

    guider: as its sampler gets it; without `conds` nothing is known of it, and all passes. sigmas: (N + 1,), ascending.
    batch: B, the pictures of a step.
    """
    if steps_per_call == 1:
        return
    if isinstance(guider, TripleFlowModel) and guider.changes_flow:
        raise ValueError(f"steps_per_call: Triple-Flow Guider changes its flow from step to step. {REMEDY}")
    calls = sigmas[1:].flip(0).split(steps_per_call)
    for conds in getattr(guider, "conds", {}).values():
        for cond in conds:
            for rows in _row_counts(cond):
                if batch % rows:
                    raise ValueError(
                        "steps_per_call: the guider's conditioning, masks or ControlNet pictures come in a batch of "
                        f"{rows}, which does not divide the {batch} pictures of a step evenly. {REMEDY}"
                    )
            if any(_changes(start, end, call) for start, end in _ranges(cond) for call in calls):
                raise ValueError(
                    "steps_per_call: the guider's conditioning or a ControlNet starts or ends (start_percent, "
                    f"end_percent) between steps that would share a call. {REMEDY}"
                )
            if has_keyframes(cond):
                raise ValueError(
                    f"steps_per_call: the guider's conditioning has hook keyframes, which count the calls. {REMEDY}"
                )


def check_shared_calls(predict: Callable, recording: Recording, device) -> None:
    """Raise ValueError if single steps answer otherwise than they did in shared calls. Costs three calls.

    predict, recording, device: as for `answers_alike`.
    """
    if not answers_alike(predict, recording, spread_steps(recording.steps), device, ALIKE_IN_A_BATCH):
        raise ValueError(
            "steps_per_call: something on the guider's MODEL depends on each step's sigma, or on the calls before, so "
            f"steps cannot share a call. {REMEDY}"
        )


def _row_counts(cond: dict) -> Iterator[int]:
    for model_cond in cond.get("model_conds", {}).values():
        if isinstance(model_cond, comfy.conds.CONDList):
            yield from (len(tensor) for tensor in model_cond.cond)
        elif isinstance(model_cond, comfy.conds.CONDRegular) and not isinstance(model_cond, comfy.conds.CONDConstant):
            yield len(model_cond.cond)
    if "mask" in cond:
        yield len(cond["mask"])
    for control in controls_of(cond):
        if control.cond_hint_original is not None:
            yield len(control.cond_hint_original)


def _ranges(cond: dict) -> Iterator[tuple[float, float]]:
    """From which sigma down to which the cond and its ControlNets act."""
    yield cond.get("timestep_start", float("inf")), cond.get("timestep_end", 0.0)
    yield from (control.timestep_range for control in controls_of(cond) if control.timestep_range is not None)


def _changes(start: float, end: float, sigmas: Tensor) -> bool:
    acts = (sigmas <= start) & (sigmas >= end)
    return bool(acts.any() != acts.all())

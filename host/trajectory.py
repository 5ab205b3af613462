"""The trajectory of a sampling: x at every sigma of its schedule, kept as a pivot."""

import comfy.model_management
from torch import Tensor

from ..resinversion import Pivot, empty_record
from .entered import EnteredGuider, SamplerFunction
from .recordings import ModelPivot, of_model
from .sampling_errors import check_finite


def trajectory_recorder(sampler) -> SamplerFunction:
    """A SAMPLER that runs another one unchanged, and whose result is a ModelPivot of the way it took.

    sampler: a SAMPLER that asks the model at each sigma of the schedule, and between them as often as it likes. It is
    to sample along sigmas that descend to 0. Sampling raises ValueError where it leaves out a sigma.
    """

    def run(entered: EnteredGuider) -> tuple[ModelPivot, Tensor]:
        device = comfy.model_management.intermediate_device()
        steps, schedule = len(entered.sigmas) - 1, entered.sigmas[:-1]
        anchors = empty_record(entered.noise, steps + 1, device)
        missing = set(range(1, steps + 1))

        # A sampler's callback would tell less: what it calls x is the start at every step in ipndm and deis, and in
        # other coordinates in uni_pc. Of several calls at one sigma the last counts: predictors ask a step ahead.
        def keep(x: Tensor, sigma: Tensor, denoised: Tensor) -> None:
            distances = (schedule / sigma[0] - 1).abs()
            step = distances.argmin().item()
            if distances[step] < 1e-4:
                anchors[steps - step] = x
                missing.discard(steps - step)

        samples = entered.watched(keep).sample(sampler)
        if missing:
            raise ValueError(
                f"sampler: left out {len(missing)} of the schedule's {steps} sigmas, so its trajectory cannot be "
                "recorded. Connect a sampler that follows the schedule, such as euler or dpmpp_2m."
            )
        anchors[0] = samples
        check_finite(anchors)
        sigmas = entered.sigmas.flip(0).float().to(device)
        return of_model(Pivot(sigmas, anchors), entered.model.model_patcher), samples

    return SamplerFunction(run)

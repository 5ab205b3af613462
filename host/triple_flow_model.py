"""Two entered guiders as the one model that a sampler calls."""

import comfy.samplers
import torch

from ..bimd import BlendedFlows
from .entered import EnteredGuider, GuiderProxy
from .shared_model import SharedModel


class TripleFlowModel(GuiderProxy):
    """The entered pivot guider as samplers know it, with the forward guider's predictions blended into its own.

    pivot, forward: EnteredGuiders; forward is None where the forward flow never acts, so was not entered.
    scales: N forward scales, noisiest step first. mask: (B, C, H, W), where the forward flow acts, or None.
    shared_model: a SharedModel of the two; None where there is no forward flow.
    pivot_denoised: what the pivot flow predicted in the last call, (B, C, H, W); None where it was not asked.
    """

    def __init__(
        self,
        pivot: EnteredGuider,
        forward: EnteredGuider | None,
        scales: list[float],
        mask: torch.Tensor | None = None,
        shared_model: SharedModel | None = None,
    ):
        super().__init__(pivot.model)
        self.pivot_denoised = None
        self._pivot, self._forward = pivot, forward
        self._inherited_post_cfg = pivot.extra_args["model_options"].get("sampler_post_cfg_function", [])
        self._shared_model = shared_model
        schedule = pivot.sigmas.sort(descending=True).values
        self._flows = BlendedFlows(self._ask_pivot, self._ask_forward, schedule, scales, mask)

    @property
    def changes_flow(self) -> bool:
        """Whether different steps ask different flows."""
        return self._forward is not None

    def __call__(self, x, sigma, model_options=None, seed=None):
        """Denoised (B, C, H, W) of both flows at sigma (B,). model_options: the pivot's, as the sampler has them."""
        model_options = model_options or {}
        self.pivot_denoised = None
        # What the sampler itself wants to hear of a call (cfg_pp samplers do), it hears of the forward flow, if that
        # acts: which of the two is asked last changes with the steps.
        functions = model_options.get("sampler_post_cfg_function", [])
        samplers_own = [function for function in functions if function not in self._inherited_post_cfg]
        if self._flows.scale_at(sigma) == 0:
            if self._forward is not None:
                advance_keyframes(self._forward.model, x, sigma, self._forward.extra_args["model_options"])
        elif samplers_own:
            model_options = {**model_options, "sampler_post_cfg_function": self._inherited_post_cfg}
        denoised = self._flows(x, sigma, model_options=model_options, samplers_own=samplers_own, seed=seed)
        if self.pivot_denoised is None:
            advance_keyframes(self._pivot.model, x, sigma, model_options)
        return denoised

    def advance_keyframes(self, x, sigma, model_options):
        """See the function of that name."""
        advance_keyframes(self._pivot.model, x, sigma, model_options)
        if self._forward is not None:
            advance_keyframes(self._forward.model, x, sigma, self._forward.extra_args["model_options"])

    def _ask_pivot(self, x, sigma, model_options, samplers_own, seed):
        if self._shared_model is not None:
            self._shared_model.set_up_for(self._pivot.model)
        self.pivot_denoised = self._pivot.model(x, sigma, model_options=model_options, seed=seed)
        return self.pivot_denoised

    def _ask_forward(self, x, sigma, model_options, samplers_own, seed):
        self._shared_model.set_up_for(self._forward.model)
        options = self._forward.extra_args["model_options"]
        if samplers_own:
            own = options.get("sampler_post_cfg_function", [])
            options = {**options, "sampler_post_cfg_function": own + samplers_own}
        return self._forward.model(x, sigma, model_options=options, seed=seed)


def advance_keyframes(guider, x, sigma, model_options) -> None:
    """Advance an entered guider's hook keyframes at a step where it is not called, as if it had been.

    guider: as its sampler gets it. x: (B, C, H, W), sigma: (B,), model_options: what it would be called with.
    """
    if isinstance(guider, TripleFlowModel):
        guider.advance_keyframes(x, sigma, model_options)
        return
    for conds in getattr(guider, "conds", {}).values():
        for cond in conds:
            if cond.get("hooks") is not None and comfy.samplers.get_area_and_mult(cond, x, sigma) is not None:
                guider.model_patcher.prepare_hook_patches_current_keyframe(sigma, cond["hooks"], model_options)

"""A guider made of two guiders, using only their public protocol: the pivot's `sample` runs the forward's inside it."""

import copy
import logging
from dataclasses import replace

from ..bimd import forward_scales
from .checks import check_flow_kinds, check_has_steps, check_latent_formats, check_mask
from .copied_conds import copy_conds
from .entered import EnteredGuider, SamplerFunction
from .kept_weights import KeptWeights
from .regions import curve_values, read_curve, region_mask
from .sampling_errors import check_samples
from .shared_model import SharedModel
from .stock_samplers import check_sampler
from .triple_flow_model import TripleFlowModel
from .wiring import check_wiring

FLOW = "the forward flow"


def copy_flow(flow, kept_weights: KeptWeights, source: str):
    """Copy a GUIDER, so that the state of a sampling, in the guider and in its conditioning, is the copy's own.

    One guider may be wired into both flows, and two guiders may share hooks and ControlNets. kept_weights: what this
    sampling keeps, source: what its messages name; for guiders of two flows among the flows, too.
    """
    copied = copy.copy(flow)
    if isinstance(flow, TripleFlowGuider):
        copied.kept_weights, copied.source = kept_weights, source
    elif hasattr(flow, "original_conds"):
        copied.original_conds = copy_conds(flow.original_conds)
    return copied


class TripleFlowGuider:
    """A GUIDER whose prediction moves from a pivot flow to a forward flow at a starting step.

    pivot_flow, forward_flow: GUIDERs of the same latent space. start_step: MSS, steps counted from the noisiest.
    forward_scale: 1 is the paper's method. Where it is 0 throughout, only the pivot flow is entered.
    forward_mask: MASK (M, H, W), where the forward flow acts. forward_curve: CURVE, what forward_scale is multiplied by
    from the first step to the last. warnings: what to tell the user of how the flows are wired.
    kept_weights: as a flow of another such guider, what that one keeps. source: the input, or inputs, that it comes
    from where it samples, for messages.
    """

    kept_weights, source = None, "guider"

    def __init__(
        self, pivot_flow, forward_flow, start_step: int, forward_scale: float, forward_mask=None, forward_curve=None
    ):
        check_flow_kinds(pivot_flow.model_patcher, forward_flow.model_patcher)
        check_latent_formats(pivot_flow.model_patcher, forward_flow.model_patcher)
        check_mask("forward_mask", forward_mask, FLOW)
        self.warnings = check_wiring(pivot_flow, "pivot_flow")
        self.warnings += check_wiring(forward_flow, "forward_flow", forward=True)
        self.pivot_flow = pivot_flow
        self.forward_flow = forward_flow
        self.start_step = start_step
        self.forward_scale = forward_scale
        self.forward_mask = forward_mask
        self.forward_curve = read_curve("forward_curve", forward_curve)

    @property
    def model_patcher(self):
        """The pivot flow's MODEL, which the host asks for previews and latent formats."""
        return self.pivot_flow.model_patcher

    def scales(self, steps: int) -> list[float]:
        """The forward scale of each of so many steps, counted from the noisiest."""
        return forward_scales(steps, self.start_step, self.forward_scale, curve_values(self.forward_curve, steps))

    def sample(
        self,
        noise,
        latent_image,
        sampler,
        sigmas,
        denoise_mask=None,
        callback=None,
        disable_pbar=False,
        seed=None,
    ):
        """Sample with both flows entered; arguments and result as of the host's CFGGuider.sample.

        Raises ValueError where the graph does not fit, or sampling comes to NaN or Inf.
        """
        check_has_steps(sigmas)
        check_sampler(sampler, noise, sigmas, self.model_patcher)
        steps = len(sigmas) - 1
        scales = self.scales(steps)
        mask = region_mask("forward_mask", self.forward_mask, FLOW, noise)
        kept_weights = self.kept_weights or KeptWeights()
        flows = self.pivot_flow, self.forward_flow
        pivot_flow, forward_flow = (copy_flow(flow, kept_weights, self.source) for flow in flows)

        def sample_pivot_flow(pivot: EnteredGuider):
            return None, replace(pivot, model=TripleFlowModel(pivot, None, scales)).sample(sampler)

        def enter_forward_flow(pivot: EnteredGuider):
            shared_model = SharedModel(pivot.model, pivot.noise.shape, kept_weights)

            def sample_both_flows(forward: EnteredGuider):
                placed_mask = None if mask is None else mask.to(pivot.noise.device)
                with shared_model.joined_by(forward.model):
                    if scales[0] == 0:  # a sampler may ask the model about sigmas before it calls it
                        shared_model.set_up_for(pivot.model)
                    model = TripleFlowModel(pivot, forward, scales, placed_mask, shared_model)
                    samples = replace(pivot, model=model).sample(sampler)
                return samples, samples

            # The forward guider gets what this guider got: each guider maps latents to its model's space by itself.
            both = SamplerFunction(sample_both_flows)
            shared_model.expect(forward_flow.model_patcher)
            forward_flow.sample(noise, latent_image, both, sigmas, denoise_mask, None, disable_pbar, seed)
            return None, both.result

        if any(scales):
            run = enter_forward_flow
        else:
            self._warn_that_forward_never_acts(steps)
            run = sample_pivot_flow
        samples = pivot_flow.sample(
            noise, latent_image, SamplerFunction(run), sigmas, denoise_mask, callback, disable_pbar, seed
        )
        if not samples.is_nested:
            check_samples(samples, self.source)
        return samples

    def _warn_that_forward_never_acts(self, steps: int) -> None:
        if not self.forward_scale:  # that was the user's choice
            return
        if self.start_step >= steps:
            reason = f"start_step {self.start_step} is after the last of {steps} steps"
        else:
            reason = f"forward_curve is 0 from start_step {self.start_step} on"
        logging.warning("CustomEnhancer: %s, so the forward flow never acts.", reason)

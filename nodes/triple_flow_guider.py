"""A guider made of two guiders, by their public protocol alone: each one's `sample` enters the next."""

import copy
import logging

import comfy.samplers

from ..bimd import TripleFlow, forward_scales
from .checks import check_at_least, check_flow_kinds, check_has_steps, check_latent_formats, check_mask
from .control_family import check_control_family
from .entered_flows import EnteredFlows
from .own_conds import own_conds
from .regions import curve_values, read_curve, region_mask
from .stock_samplers import check_sampler

FLOW = "the forward flow"


class Enter(comfy.samplers.Sampler):
    """A SAMPLER that, once a guider has entered it, hands all of `sample`'s arguments to `run`."""

    def __init__(self, run):
        self.run = run

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Hand over to `run`, whose return value (B, C, H, W) is the guider's sample."""
        return self.run(model_wrap, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar)


class TripleFlowModel:
    """The entered pivot guider as samplers know it, with its predictions joined to the forward guider's.

    pivot_wrap, forward_wrap: the entered guiders. pivot_options, forward_options: the model options of each.
    sigmas: (N + 1,), descending. scales: N forward scales. mask: (B, C, H, W), where the forward flow acts, or None.
    entered_flows: readies a model that both guiders share.
    pivot_denoised: what the pivot flow predicted in the last call, (B, C, H, W); None where it was not asked.
    """

    def __init__(self, pivot_wrap, forward_wrap, pivot_options, forward_options, sigmas, scales, mask, entered_flows):
        self._pivot_wrap = pivot_wrap
        self._forward_wrap = forward_wrap
        self._inherited_post_cfg = pivot_options.get("sampler_post_cfg_function", [])
        self._forward_options = forward_options
        self._entered_flows = entered_flows
        self.pivot_denoised = None
        self._flows = TripleFlow(self._ask_pivot, self._ask_forward, sigmas, scales, mask)

    def __getattr__(self, name):
        return getattr(self._pivot_wrap, name)

    def __call__(self, x, sigma, model_options=None, seed=None):
        """Denoised (B, C, H, W) of both flows at sigma (B,). model_options: the pivot's, as the sampler has them."""
        model_options = model_options or {}
        self.pivot_denoised = None
        # What the sampler itself wants to hear of a call (cfg_pp samplers do), it hears of the forward flow, if that
        # acts: which of the two is asked last changes with the steps.
        functions = model_options.get("sampler_post_cfg_function", [])
        heard = [function for function in functions if function not in self._inherited_post_cfg]
        if self._flows.scale_at(sigma) == 0:
            pass_time(self._forward_wrap, x, sigma, self._forward_options)
        elif heard:
            model_options = {**model_options, "sampler_post_cfg_function": self._inherited_post_cfg}
        return self._flows(x, sigma, model_options=model_options, heard=heard, seed=seed)

    def pass_time(self, x, sigma, model_options):
        """See the function of that name."""
        pass_time(self._pivot_wrap, x, sigma, model_options)
        pass_time(self._forward_wrap, x, sigma, self._forward_options)

    def _ask_pivot(self, x, sigma, model_options, heard, seed):
        self._entered_flows.set_up_for(self._pivot_wrap)
        self.pivot_denoised = self._pivot_wrap(x, sigma, model_options=model_options, seed=seed)
        return self.pivot_denoised

    def _ask_forward(self, x, sigma, model_options, heard, seed):
        self._entered_flows.set_up_for(self._forward_wrap)
        options = self._forward_options
        if heard:
            own = options.get("sampler_post_cfg_function", [])
            options = {**options, "sampler_post_cfg_function": own + heard}
        return self._forward_wrap(x, sigma, model_options=options, seed=seed)


def pass_time(guider, x, sigma, model_options) -> None:
    """Let the hook keyframes of an entered guider that is not called at a step go on, as if it were.

    guider: as its sampler gets it. x: (B, C, H, W), sigma: (B,), model_options: what it would be called with.
    """
    if isinstance(guider, TripleFlowModel):
        guider.pass_time(x, sigma, model_options)
        return
    for conds in getattr(guider, "conds", {}).values():
        for cond in conds:
            if cond.get("hooks") is not None and comfy.samplers.get_area_and_mult(cond, x, sigma) is not None:
                guider.model_patcher.prepare_hook_patches_current_keyframe(sigma, cond["hooks"], model_options)


def own_flow(flow):
    """Copy a GUIDER, so that what it keeps of a sampling, in itself and in its conditioning, is its own.

    One guider may be wired into both flows, and two guiders may share hooks and ControlNets.
    """
    own = copy.copy(flow)
    if isinstance(flow, TripleFlowGuider):
        own.pivot_flow, own.forward_flow = own_flow(flow.pivot_flow), own_flow(flow.forward_flow)
    elif hasattr(flow, "original_conds"):
        own.original_conds = own_conds(flow.original_conds)
    return own


class TripleFlowGuider:
    """A GUIDER whose prediction moves from a pivot flow to a forward flow at a starting step.

    pivot_flow, forward_flow: GUIDERs of the same latent space. start_step: MSS, steps counted from the noisiest.
    forward_scale: 1 is the paper's method. Where it is 0 throughout, only the pivot flow is entered.
    forward_mask: MASK (M, H, W), where the forward flow acts. forward_curve: CURVE, what forward_scale is multiplied by
    from the first step to the last.
    """

    def __init__(
        self, pivot_flow, forward_flow, start_step: int, forward_scale: float, forward_mask=None, forward_curve=None
    ):
        check_flow_kinds(pivot_flow.model_patcher, forward_flow.model_patcher)
        check_latent_formats(pivot_flow.model_patcher, forward_flow.model_patcher)
        check_at_least("start_step", start_step, 0)
        check_mask("forward_mask", forward_mask, FLOW)
        check_control_family(pivot_flow, "pivot_flow")
        check_control_family(forward_flow, "forward_flow")
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
        """Sample with both flows entered; arguments and result as of the host's CFGGuider.sample."""
        check_has_steps(sigmas)
        check_sampler(sampler, noise)
        steps = len(sigmas) - 1
        scales = self.scales(steps)
        mask = region_mask("forward_mask", self.forward_mask, FLOW, noise)
        pivot_flow, forward_flow = own_flow(self.pivot_flow), own_flow(self.forward_flow)
        if not any(scales):
            if self.forward_scale:
                if self.start_step >= steps:
                    reason = f"start_step {self.start_step} is beyond the last of {steps} steps"
                else:
                    reason = f"forward_curve is 0 from start_step {self.start_step} on"
                logging.warning("CustomEnhancer: %s, so the forward flow never acts.", reason)
            return pivot_flow.sample(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)

        def enter_forward(pivot_wrap, entered_sigmas, extra_args, entered_callback, entered_noise, *rest):
            sampled = None
            pivot_hook_patches = pivot_wrap.model_patcher.hook_patches

            def run_sampler(forward_wrap, _sigmas, forward_extra_args, *_rest):
                nonlocal sampled
                with EnteredFlows(pivot_wrap, forward_wrap, pivot_hook_patches, entered_noise.shape) as entered_flows:
                    model = TripleFlowModel(
                        pivot_wrap,
                        forward_wrap,
                        extra_args["model_options"],
                        forward_extra_args["model_options"],
                        entered_sigmas.sort(descending=True).values,
                        scales,
                        None if mask is None else mask.to(entered_noise.device),
                        entered_flows,
                    )
                    if scales[0] == 0:  # a sampler may ask the model about sigmas before it calls it
                        entered_flows.set_up_for(pivot_wrap)
                    sampled = sampler.sample(model, entered_sigmas, extra_args, entered_callback, entered_noise, *rest)
                return sampled

            # The forward guider gets what this guider got: each guider maps latents to its model's space by itself.
            forward_flow.sample(noise, latent_image, Enter(run_sampler), sigmas, denoise_mask, None, disable_pbar, seed)
            return sampled

        return pivot_flow.sample(
            noise, latent_image, Enter(enter_forward), sigmas, denoise_mask, callback, disable_pbar, seed
        )

"""A guider made of two guiders, by their public protocol alone: each one's `sample` enters the next."""

import copy
import logging

import comfy.samplers

from ..bimd import TripleFlow, forward_scales
from .checks import check_flow_kinds, check_has_steps
from .entered_flows import EnteredFlows, check_same_weights
from .stock_samplers import check_sampler


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
    entered_flows: keeps a MODEL that both share set up for the flow being called.
    """

    def __init__(self, pivot_wrap, forward_wrap, pivot_options, forward_options, sigmas, scales, entered_flows):
        self._pivot_wrap = pivot_wrap
        self._forward_wrap = forward_wrap
        self._inherited_post_cfg = pivot_options.get("sampler_post_cfg_function", [])
        self._forward_options = forward_options
        self._entered_flows = entered_flows
        self._flows = TripleFlow(self._pivot_denoised, self._forward_denoised, sigmas, scales)

    def __getattr__(self, name):
        return getattr(self._pivot_wrap, name)

    def __call__(self, x, sigma, model_options=None, seed=None):
        """Denoised (B, C, H, W) of both flows at sigma (B,). model_options: the pivot's, as the sampler has them."""
        return self._flows(x, sigma, model_options=model_options or {}, seed=seed)

    def _pivot_denoised(self, x, sigma, model_options, seed):
        self._entered_flows.set_up_for(self._pivot_wrap)
        return self._pivot_wrap(x, sigma, model_options=model_options, seed=seed)

    def _forward_denoised(self, x, sigma, model_options, seed):
        self._entered_flows.set_up_for(self._forward_wrap)
        # What the sampler itself wants to hear of each call (cfg_pp samplers do) holds for either flow.
        heard = model_options.get("sampler_post_cfg_function", [])
        added = [function for function in heard if function not in self._inherited_post_cfg]
        options = self._forward_options
        if added:
            own = options.get("sampler_post_cfg_function", [])
            options = {**options, "sampler_post_cfg_function": own + added}
        return self._forward_wrap(x, sigma, model_options=options, seed=seed)


class TripleFlowGuider:
    """A GUIDER whose prediction moves from a pivot flow to a forward flow at a starting step.

    pivot_flow, forward_flow: GUIDERs of the same latent space. start_step: MSS, steps counted from the noisiest.
    forward_scale: 1 is the paper's method. Where it is 0 throughout, only the pivot flow is entered.
    """

    def __init__(self, pivot_flow, forward_flow, start_step: int, forward_scale: float):
        check_flow_kinds(pivot_flow.model_patcher, forward_flow.model_patcher)
        check_same_weights(pivot_flow.model_patcher, forward_flow.model_patcher)
        self.pivot_flow = pivot_flow
        self.forward_flow = forward_flow
        self.start_step = start_step
        self.forward_scale = forward_scale

    @property
    def model_patcher(self):
        """The pivot flow's MODEL, which the host asks for previews and latent formats."""
        return self.pivot_flow.model_patcher

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
        scales = forward_scales(len(sigmas) - 1, self.start_step, self.forward_scale)
        # A guider keeps the state of its sampling in itself, and one guider may be wired into both flows.
        pivot_flow, forward_flow = copy.copy(self.pivot_flow), copy.copy(self.forward_flow)
        if not any(scales):
            if self.forward_scale:
                logging.warning(
                    "CustomEnhancer: start_step %d is beyond the last of %d steps, so the forward flow never acts.",
                    self.start_step, len(scales),
                )  # fmt: skip
            return pivot_flow.sample(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)

        def enter_forward(pivot_wrap, entered_sigmas, extra_args, *sampling):
            sampled = None

            def run_sampler(forward_wrap, _sigmas, forward_extra_args, *_sampling):
                nonlocal sampled
                with EnteredFlows(pivot_wrap, forward_wrap) as entered_flows:
                    model = TripleFlowModel(
                        pivot_wrap,
                        forward_wrap,
                        extra_args["model_options"],
                        forward_extra_args["model_options"],
                        entered_sigmas.sort(descending=True).values,
                        scales,
                        entered_flows,
                    )
                    sampled = sampler.sample(model, entered_sigmas, extra_args, *sampling)
                return sampled

            # The forward guider gets what this guider got: each guider maps latents to its model's space by itself.
            forward_flow.sample(noise, latent_image, Enter(run_sampler), sigmas, denoise_mask, None, disable_pbar, seed)
            return sampled

        return pivot_flow.sample(
            noise, latent_image, Enter(enter_forward), sigmas, denoise_mask, callback, disable_pbar, seed
        )

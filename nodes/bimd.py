"""BiMD nodes: the guider of the pivot and forward flow, and the sampler that adds the backward flow."""

import comfy.samplers
import torch
from comfy_api.latest import io
from tqdm.auto import tqdm

from ..bimd import sample_bimd
from .checks import check_mask, check_model_kind
from .regions import curve_values, read_curve, region_mask
from .sockets import ResidualNoise, curve_input
from .triple_flow_guider import TripleFlowGuider

CATEGORY = "CustomEnhancer/bimd"
FLOW = "the backward flow"


class BiMDSampler(comfy.samplers.Sampler):
    """`sample_bimd` as a SAMPLER: starts at the recorded pivot's noisy end and follows only its recorded schedule.

    residual_noise: a ResidualNoise. backward_scale: b of the paper's eq. 4. backward_mask: MASK (M, H, W), where the
    backward flow acts. backward_curve: CURVE, what backward_scale is multiplied by from the first step to the last.
    """

    def __init__(self, residual_noise, backward_scale: float, backward_mask=None, backward_curve=None):
        check_mask("backward_mask", backward_mask, FLOW)
        self.residual_noise = residual_noise
        self.backward_scale = backward_scale
        self.backward_mask = backward_mask
        self.backward_curve = read_curve("backward_curve", backward_curve)

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Sample (B, C, H, W). Raises ValueError where the graph does not fit the recording."""
        recorded = self.residual_noise
        self._check(model_wrap.model_patcher, sigmas, noise)
        mask_function = extra_args["model_options"].get("denoise_mask_function")

        def mask_at(sigma):
            if mask_function is None:
                return denoise_mask
            return mask_function(sigma, denoise_mask, extra_options={"model": model_wrap, "sigmas": sigmas})

        with tqdm(total=recorded.steps, disable=disable_pbar) as progress:

            def on_step(step: dict) -> None:
                progress.update()
                if callback is not None:
                    callback(step["i"], step["denoised"], step["x"], recorded.steps)

            samples = sample_bimd(
                model_wrap,
                recorded.anchors,
                recorded.predictions,
                recorded.sigmas.flip(0).to(noise.device),
                extra_args,
                on_step,
                backward_scale=self.scales(),
                backward_mask=self.mask(noise),
                denoise_mask=None if denoise_mask is None else mask_at,
            )
        return model_wrap.inner_model.model_sampling.inverse_noise_scaling(sigmas[-1], samples)

    def scales(self) -> list[float]:
        """b at each step, counted from the noisiest, before the mask."""
        steps = self.residual_noise.steps
        curve = curve_values(self.backward_curve, steps) or [1.0] * steps
        return [self.backward_scale * factor for factor in curve]

    def mask(self, latent: torch.Tensor) -> torch.Tensor | None:
        """What b is multiplied by, place by place, at the size of a latent (B, C, H, W); None is 1 everywhere."""
        return region_mask("backward_mask", self.backward_mask, FLOW, latent)

    def _check(self, model_patcher, sigmas, noise) -> None:
        recorded = self.residual_noise
        check_model_kind(recorded.model_kind, model_patcher, "residual_noise")
        schedule = recorded.sigmas.flip(0).to(sigmas.device)
        if schedule.shape != sigmas.shape or not torch.allclose(schedule, sigmas.to(schedule), rtol=1e-5, atol=0):
            raise ValueError(
                f"sigmas: not the schedule that residual_noise was recorded on ({recorded.steps} steps from "
                f"{schedule[0].item():.4g} to 0; got {len(sigmas) - 1} from {sigmas[0].item():.4g} to "
                f"{sigmas[-1].item():.4g}). Connect the SIGMAS that the inversion node got."
            )
        if noise.shape != recorded.anchors.shape[1:]:
            raise ValueError(
                f"latent_image: its shape {tuple(noise.shape)} is not that of the inverted picture "
                f"{tuple(recorded.anchors.shape[1:])}. Connect the latent output of the inversion node."
            )
        if noise.count_nonzero() > 0:
            raise ValueError(
                "noise: BiMD Sampler starts at the recorded noise, so any other would be lost. Connect DisableNoise."
            )


class BiMDSamplerNode(io.ComfyNode):
    """`BiMDSampler` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_BiMDSampler",
            display_name="BiMD Sampler",
            category=CATEGORY,
            description="Samples from an inverted picture with its residual noise as backward flow. For "
            "SamplerCustomAdvanced, with DisableNoise and the SIGMAS that were inverted.",
            inputs=[
                ResidualNoise.Input("residual_noise", tooltip="What ResInversion recorded of the picture."),
                io.Float.Input(
                    "backward_scale",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much of the residual noise is given back. 1: all of it, the paper's method. 0: none, "
                    "plain sampling of the guider from the inverted noise.",
                ),
                io.Mask.Input(
                    "backward_mask",
                    optional=True,
                    tooltip="Where the residual noise is given back: 1 fully, 0 not at all. Where it is not, sampling "
                    "is free of the picture. Without it, everywhere.",
                ),
                curve_input(
                    "backward_curve",
                    tooltip="What backward_scale is multiplied by, from the noisiest step (left) to the last (right). "
                    "From the stock Curve Editor. Without it, 1 throughout.",
                ),
            ],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, residual_noise, backward_scale=1.0, backward_mask=None, backward_curve=None):
        return io.NodeOutput(BiMDSampler(residual_noise, backward_scale, backward_mask, backward_curve))


class TripleFlowGuiderNode(io.ComfyNode):
    """`TripleFlowGuider` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_TripleFlowGuider",
            display_name="Triple-Flow Guider",
            category=CATEGORY,
            description="Joins the pivot flow (the prompt without identity) to a forward flow (the personalised "
            "prediction) that sets in at a starting step. BiMD Sampler adds the backward flow.",
            inputs=[
                io.Guider.Input("pivot_flow", tooltip="The guider that the picture was inverted with."),
                io.Guider.Input(
                    "forward_flow", tooltip="The guider of the personalised model, whose conditioning has the identity."
                ),
                io.Int.Input(
                    "start_step",
                    default=10,
                    min=0,
                    max=10000,
                    optional=True,
                    tooltip="The manipulation starting step (MSS): from this step on, counted from the noisiest, the "
                    "forward flow acts. Lower: more of the identity, less of the scene.",
                ),
                io.Float.Input(
                    "forward_scale",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    optional=True,
                    tooltip="How far the prediction goes over to the forward flow. 1: all the way, one guider call a "
                    "step. 0: the forward flow is off. Anything else calls both guiders from start_step on.",
                ),
                io.Mask.Input(
                    "forward_mask",
                    optional=True,
                    tooltip="Where the forward flow acts: 1 fully, 0 not at all. Calls both guiders from start_step "
                    "on. Several people: nest these guiders, each with its mask. Without it, everywhere.",
                ),
                curve_input(
                    "forward_curve",
                    tooltip="What forward_scale is multiplied by, from the noisiest step (left) to the last (right); "
                    "before start_step it has no effect. From the stock Curve Editor. Without it, 1 throughout.",
                ),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, pivot_flow, forward_flow, start_step=10, forward_scale=1.0, forward_mask=None, forward_curve=None):
        return io.NodeOutput(
            TripleFlowGuider(pivot_flow, forward_flow, start_step, forward_scale, forward_mask, forward_curve)
        )


NODES = [TripleFlowGuiderNode, BiMDSamplerNode]

"""The method's sampling in one node, which keeps each step's denoised estimate and the strength of its flows."""

import comfy.model_management
import comfy.samplers
import torch
from comfy_api.latest import io
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced
from torch import Tensor

from ..bimd import FlowNorms, flow_shares
from . import sockets
from .bimd import CATEGORY, BiMDSampler, BiMDSamplerNode, TripleFlowGuiderNode
from .triple_flow_guider import TripleFlowGuider


class WatchedSampler(comfy.samplers.Sampler):
    """A BiMDSampler that keeps the denoised estimate of each step and the strength of its flows.

    sampler: a BiMDSampler. both_entered: whether the guider that it samples enters both of its flows; where not, the
    pivot flow is all that the entered model is.
    """

    def __init__(self, sampler: BiMDSampler, both_entered: bool):
        self.sampler = sampler
        self.both_entered = both_entered
        self._estimates, self._shares, self._at_anchor = [], [], []

    def sample(self, model_wrap, sigmas, extra_args, callback, *rest, **options):
        """Sample (B, C, H, W) as the BiMDSampler does."""
        recorded = self.sampler.residual_noise
        residual_noise = recorded.residual_noise()

        def on_step(step: int, denoised: Tensor, x: Tensor, total: int) -> None:
            i = recorded.steps - step
            pivot_denoised = model_wrap.pivot_denoised if self.both_entered else denoised
            shares = flow_shares(
                x,
                sigmas[step],
                denoised,
                pivot_denoised,
                recorded.predictions[i - 1].to(x.device),
                self.sampler.backward_scale * residual_noise[i - 1].to(x.device),
            )
            self._shares.append(shares)
            self._at_anchor.append(pivot_denoised is None)
            self._estimates.append(denoised.float().to(comfy.model_management.intermediate_device()))
            callback(step, denoised, x, total)

        return self.sampler.sample(model_wrap, sigmas, extra_args, on_step, *rest, **options)

    def estimates(self) -> Tensor:
        """The denoised estimates, (N * B, C, H, W) float32 in the model's space, the noisiest step first."""
        return torch.cat(self._estimates)

    def flow_norms(self) -> FlowNorms:
        """The strength of the flows at each step."""
        return FlowNorms(*torch.stack(self._shares).cpu().unbind(dim=1), torch.tensor(self._at_anchor))


class TripleFlowSample(io.ComfyNode):
    """`TripleFlowGuider` and `BiMDSampler` in the host's SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_TripleFlowSample",
            display_name="Triple-Flow Sample",
            category=CATEGORY,
            description="Samples an inverted picture with all three flows: Triple-Flow Guider, BiMD Sampler and "
            "SamplerCustomAdvanced in one node, with the same result to the last bit. Also gives each step's denoised "
            "estimate and how strong the flows are.",
            inputs=[
                *TripleFlowGuiderNode.define_schema().inputs,
                *BiMDSamplerNode.define_schema().inputs,
                io.Latent.Input(
                    "latent_image",
                    tooltip="The latent output of the inversion node. Sampling starts at the recording; a noise mask "
                    "on it limits what may change.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The picture, for VAE Decode."),
                io.Latent.Output(
                    display_name="trajectory",
                    tooltip="The denoised estimate of each step as one batch, the noisiest first: VAE Decode and a "
                    "save node make frames of it.",
                ),
                sockets.FlowNorms.Output(
                    display_name="flow_norms", tooltip="How strong each flow was at each step, for Flow Inspector."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        pivot_flow,
        forward_flow,
        residual_noise,
        latent_image,
        start_step=10,
        forward_scale=1.0,
        backward_scale=1.0,
    ):
        guider = TripleFlowGuider(pivot_flow, forward_flow, start_step, forward_scale)
        both_entered = any(guider.scales(residual_noise.steps))
        sampler = WatchedSampler(BiMDSampler(residual_noise, backward_scale), both_entered)
        noise, sigmas = DisableNoise.execute().result[0], residual_noise.sigmas.flip(0).cpu()
        latent = SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent_image).result[0]
        trajectory = guider.model_patcher.model.process_latent_out(sampler.estimates())
        return io.NodeOutput(latent, {"samples": trajectory}, sampler.flow_norms())


NODES = [TripleFlowSample]

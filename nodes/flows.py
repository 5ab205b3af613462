"""Flow nodes: the guider of the pivot and forward flow, and the sampler that adds the backward flow."""

from comfy_api.latest import io
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced

from ..host.bimd_sampler import BiMDSampler
from ..host.flow_norms import flow_watcher
from ..host.triple_flow_guider import TripleFlowGuider
from .inputs import FLOWS, FlowNormsSocket, ResidualNoiseSocket, curve_input


class BiMDSamplerNode(io.ComfyNode):
    """`BiMDSampler` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_BiMDSampler",
            display_name="BiMD Sampler",
            category=FLOWS,
            description="Samples from an inverted picture with its residual noise as backward flow. For "
            "SamplerCustomAdvanced, with DisableNoise and the SIGMAS that were inverted.",
            inputs=[
                ResidualNoiseSocket.Input("residual_noise", tooltip="What ResInversion recorded of the picture."),
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
            category=FLOWS,
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


class TripleFlowSampleNode(io.ComfyNode):
    """`TripleFlowGuider` and `BiMDSampler` in the host's SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_TripleFlowSample",
            display_name="Triple-Flow Sample",
            category=FLOWS,
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
                FlowNormsSocket.Output(
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
        forward_mask=None,
        forward_curve=None,
        backward_mask=None,
        backward_curve=None,
    ):
        guider = TripleFlowGuider(pivot_flow, forward_flow, start_step, forward_scale, forward_mask, forward_curve)
        sampler = flow_watcher(BiMDSampler(residual_noise, backward_scale, backward_mask, backward_curve))
        noise, sigmas = DisableNoise.execute().result[0], residual_noise.sigmas.flip(0).cpu()
        latent = SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent_image).result[0]
        estimates, flow_norms = sampler.result
        trajectory = guider.model_patcher.model.process_latent_out(estimates)
        return io.NodeOutput(latent, {"samples": trajectory}, flow_norms)


NODES = [TripleFlowGuiderNode, BiMDSamplerNode, TripleFlowSampleNode]

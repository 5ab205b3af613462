"""Flow nodes: the guider of the pivot and forward flow, and the sampler that adds the backward flow."""

from comfy_api.v0_0_2 import io
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced

from ..host.balances import BALANCES, PAPER
from ..host.bimd_sampler import BiMDSampler
from ..host.checked_node import CheckedNode
from ..host.checks import check_has_steps
from ..host.flow_norms import flow_watcher
from ..host.previews import told
from ..host.sampling_errors import sampled
from ..host.triple_flow_guider import TripleFlowGuider
from .inputs import FLOWS, FlowNormsSocket, ResidualNoiseSocket, curve_input


class BiMDSamplerNode(CheckedNode):
    """`BiMDSampler` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_BiMDSampler",
            display_name="BiMD Sampler",
            category=FLOWS,
            description="Samples from an inverted picture with its residual noise as the backward flow. For "
            "SamplerCustomAdvanced, with DisableNoise and the same SIGMAS as the inversion.",
            inputs=[
                ResidualNoiseSocket.Input(
                    "residual_noise", tooltip="The picture's residual noise, as recorded by ResInversion."
                ),
                io.Float.Input(
                    "backward_scale",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much of the residual noise is added back. 1: all of it, the paper's method. 0: none, "
                    "i.e. plain sampling with the guider from the inverted noise.",
                ),
                io.Mask.Input(
                    "backward_mask",
                    optional=True,
                    tooltip="Where the residual noise is added back: 1 fully, 0 not at all, so that sampling there is "
                    "free of the picture. Everywhere if not connected.",
                ),
                curve_input(
                    "backward_curve",
                    tooltip="A factor on backward_scale, from the noisiest step (left) to the last (right). From the "
                    "stock Curve Editor. 1 throughout if not connected.",
                ),
            ],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, residual_noise, backward_scale=1.0, backward_mask=None, backward_curve=None):
        return io.NodeOutput(BiMDSampler(residual_noise, backward_scale, backward_mask, backward_curve))


class TripleFlowGuiderNode(CheckedNode):
    """`TripleFlowGuider` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_TripleFlowGuider",
            display_name="Triple-Flow Guider",
            category=FLOWS,
            description="Joins the pivot flow (the prompt without the identity) with a forward flow (the personalised "
            "prediction), which acts from a starting step on. BiMD Sampler adds the backward flow.",
            inputs=[
                io.Guider.Input("pivot_flow", tooltip="The guider that the picture was inverted with."),
                io.Guider.Input(
                    "forward_flow", tooltip="The personalised model's guider, with the identity in its conditioning."
                ),
                io.Int.Input(
                    "start_step",
                    default=10,
                    min=0,
                    max=10000,
                    optional=True,
                    tooltip="The manipulation starting step (MSS): the forward flow acts from this step on, counted "
                    "from the noisiest. Lower: more of the identity, less of the scene. PhotoMaker's own "
                    "start_merge_step is the last step without the identity, so start_step is start_merge_step + 1.",
                ),
                io.Float.Input(
                    "forward_scale",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    optional=True,
                    tooltip="Blend weight: 0 is the pivot flow only, 1 the forward flow only; both take one guider "
                    "call per step. Any other value calls both guiders from start_step on; above 1 extrapolates.",
                ),
                io.Mask.Input(
                    "forward_mask",
                    optional=True,
                    tooltip="Where the forward flow acts: 1 fully, 0 not at all. Everywhere if not connected. A mask "
                    "calls both guiders from start_step on. For several people, nest these guiders, each with its own "
                    "mask.",
                ),
                curve_input(
                    "forward_curve",
                    tooltip="A factor on forward_scale, from the noisiest step (left) to the last (right); it has no "
                    "effect before start_step. From the stock Curve Editor. 1 throughout if not connected.",
                ),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, pivot_flow, forward_flow, start_step=10, forward_scale=1.0, forward_mask=None, forward_curve=None):
        guider = TripleFlowGuider(pivot_flow, forward_flow, start_step, forward_scale, forward_mask, forward_curve)
        return io.NodeOutput(guider, ui=told(guider.warnings))


class TripleFlowSampleNode(CheckedNode):
    """`TripleFlowGuider` and `BiMDSampler` in the host's SamplerCustomAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_TripleFlowSample",
            display_name="Triple-Flow Sample",
            category=FLOWS,
            description="Samples an inverted picture with all three flows: Triple-Flow Guider, BiMD Sampler and "
            "SamplerCustomAdvanced in one node, with a bit-identical result. Also outputs each step's denoised "
            "estimate and the strength of each flow.",
            inputs=[
                *TripleFlowGuiderNode.define_schema().inputs,
                *BiMDSamplerNode.define_schema().inputs,
                io.Latent.Input(
                    "latent_image",
                    tooltip="The latent output of the inversion node. Sampling starts from the recorded noise; a noise "
                    "mask on the latent limits what may change.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The picture, for VAE Decode."),
                io.Latent.Output(
                    display_name="trajectory",
                    tooltip="Each step's denoised estimate as one batch, noisiest first: decode and save it as frames.",
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
        guider.source = source = "pivot_flow and forward_flow"
        sampler = flow_watcher(BiMDSampler(residual_noise, backward_scale, backward_mask, backward_curve, source))
        noise, sigmas = DisableNoise.execute().result[0], residual_noise.sigmas.flip(0).cpu()
        with sampled(source):
            latent = SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent_image).result[0]
        estimates, flow_norms = sampler.result
        trajectory = guider.model_patcher.model.process_latent_out(estimates)
        return io.NodeOutput(latent, {"samples": trajectory}, flow_norms, ui=told(guider.warnings))


class IdentityBalanceNode(CheckedNode):
    """One of `BALANCES` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        shares = "; ".join(f"{name}: after {balance.start:.0%} of the steps" for name, balance in BALANCES.items())
        return io.Schema(
            node_id="CE_IdentityBalance",
            display_name="Scene or Identity",
            category=FLOWS,
            description="Sets how much of the scene is kept and how much the person comes through, in words: outputs "
            "the starting step and the scales for Triple-Flow Guider and BiMD Sampler. paper is the method's own "
            "setting.",
            search_aliases=["start_step", "strength", "likeness", "preset", "mss"],
            inputs=[
                io.Combo.Input(
                    "balance",
                    options=list(BALANCES),
                    default=PAPER,
                    tooltip="From the scene to the identity, by when the forward flow begins to act. "
                    f"{shares}. Both scales are 1 in all of them.",
                ),
                io.Sigmas.Input("sigmas", tooltip="The schedule to sample with, whose steps are counted."),
            ],
            outputs=[
                io.Int.Output(display_name="start_step", tooltip="For Triple-Flow Guider."),
                io.Float.Output(display_name="forward_scale", tooltip="For Triple-Flow Guider."),
                io.Float.Output(display_name="backward_scale", tooltip="For BiMD Sampler."),
            ],
        )

    @classmethod
    def execute(cls, balance, sigmas):
        check_has_steps(sigmas)
        steps = len(sigmas) - 1
        found = BALANCES[balance]
        start_step = found.start_step(steps)
        report = (
            f"The forward flow acts from step {start_step} of {steps} on, at scale {found.forward_scale:g}; the "
            f"backward flow at scale {found.backward_scale:g}."
        )
        return io.NodeOutput(start_step, found.forward_scale, found.backward_scale, ui=told([], report))


NODES = [TripleFlowGuiderNode, BiMDSamplerNode, TripleFlowSampleNode, IdentityBalanceNode]

"""Null-text inversion on the host's own SDXL network: right gradients through all that personalises it, no traces."""

import contextlib

import comfy.hooks
import comfy.model_base
import comfy.model_management
import comfy.sd
import pytest
import torch
from comfy import samplers
from customenhancer.host import null_text
from customenhancer.identity.identity_net import put_identity_net
from customenhancer.identity.instantid_attention import (
    Face,
    add_decoupled_attention,
    attention_layers,
    face_key,
    put_face,
)
from customenhancer.nodes.inversion import DDIMInversionNode
from helpers.null_text import null_text_of, state
from helpers.sampling import max_error, picture, sample, schedule
from nodes import ControlNetApplyAdvanced
from standins.control import SHALLOW_UNET
from standins.instantid_host import sdxl_control_net, text
from standins.photomaker_host import sdxl_model

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture(scope="module")
def sdxl():
    with torch.inference_mode():
        return sdxl_model(seed=1, **SHALLOW_UNET)


def small_control_net(seed=3):
    control_net = sdxl_control_net(seed, **SHALLOW_UNET)
    control_net.control_model.requires_grad_(False)
    return control_net


def plain_flow(sdxl):
    return sdxl, text(1), text(2)


def lora(model) -> dict:
    """A LoRA file's tensors for one layer that reads the text."""
    weight = model.model.diffusion_model.input_blocks[4][1].transformer_blocks[0].attn2.to_k.weight
    generator = torch.Generator().manual_seed(4)
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    return {
        f"{layer}.lora_up.weight": torch.randn(len(weight), 4, generator=generator),
        f"{layer}.lora_down.weight": torch.randn(4, weight.shape[1], generator=generator),
    }


def lora_flow(sdxl):
    """A MODEL with a LoRA on it, as PhotoMaker's."""
    model, _ = comfy.sd.load_lora_for_models(sdxl, None, lora(sdxl), 0.5, 0)
    assert len(model.patches) == 1
    return model, text(1), text(2)


def hooked_flow(sdxl):
    """A LoRA on the negative side alone: the host changes the weights between the two sides."""
    return sdxl, text(1), text(2, hooks=comfy.hooks.create_hook_lora(lora(sdxl), 0.5, 0.0))


def control_flow(sdxl):
    """A ControlNet that reads the text of both sides: the gradient goes through it as well."""
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(5))
    control = ControlNetApplyAdvanced().apply_controlnet(text(1), text(2), small_control_net(), hint, 0.7, 0.0, 1.0)
    return sdxl, *control


def instantid_flow(sdxl):
    """Faces in every attention layer, which tells them by its place in the network, and IdentityNet."""
    widths = [attention.to_k.out_features for _, attention in attention_layers(sdxl)]
    key, conds = face_key(), []
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.randn(1, 16, 2048, generator=generator)
        face = Face(tokens, torch.randn(2, 16, sum(widths), generator=generator) * 3, 0.8, 0.0, 1.0, None)
        conds.append(put_face(text(seed), face, key))
    keypoints = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    conds = put_identity_net(conds, small_control_net(), keypoints, 0.8, (0.0, 1.0), key)
    return add_decoupled_attention(sdxl, widths), *conds


FLOWS = [plain_flow, lora_flow, hooked_flow, control_flow, instantid_flow]


class TestOnSDXL:
    """The host's own SDXL network, its weights inference tensors."""

    @pytest.mark.parametrize("make_flow", FLOWS)
    def test_gradients_are_those_of_a_plain_network(self, sdxl, make_flow, monkeypatch):
        """Against the same run outside inference mode: normal weights, nothing checkpointed or aliased."""
        assert all(weight.is_inference() for weight in sdxl.model.diffusion_model.parameters())
        ours = null_text_of(make_flow(sdxl), pooled="optimised").result[0].null_text
        with torch.inference_mode(False), torch.no_grad():
            monkeypatch.setattr(null_text, "checkpointed", lambda networks: contextlib.nullcontext())
            plain = null_text_of(make_flow(sdxl_model(seed=1, **SHALLOW_UNET)), pooled="optimised").result[0].null_text
        for one, other in zip(ours.texts, plain.texts, strict=True):
            torch.testing.assert_close(one.clone(), other, rtol=1e-3, atol=1e-4)
        for one, other in zip(ours.losses, plain.losses, strict=True):
            assert one == pytest.approx(other, rel=1e-3)

    @pytest.mark.parametrize("make_flow", FLOWS)
    def test_the_loss_falls_and_sampling_comes_nearer_than_after_ddim_inversion(self, sdxl, make_flow, measured):
        flow = make_flow(sdxl)
        result, noisy = null_text_of(flow, inner_steps=6).result
        sigmas, latent = schedule(sdxl, 3), picture()
        error = max_error(sample(result, "euler", sigmas, noisy), latent)
        plain = samplers.CFGGuider(flow[0])
        plain.set_conds(*flow[1:])
        plain.set_cfg(7.5)
        ddim_noisy = DDIMInversionNode.execute(plain, sigmas, latent).result[1]
        ddim_error = max_error(sample(plain, "euler", sigmas, ddim_noisy), latent)
        measured(f"reconstruction error, null text, random SDXL, 3 steps, {make_flow.__name__}", error)
        measured(f"reconstruction error, DDIM inversion, the same, {make_flow.__name__}", ddim_error)
        assert error < ddim_error and all(losses[-1] < losses[0] for losses in result.null_text.losses)

    @pytest.mark.parametrize("make_flow", FLOWS)
    def test_nothing_is_left_in_the_models(self, sdxl, make_flow):
        flow = make_flow(sdxl)
        before = state(sdxl)
        null_text_of(flow)
        comfy.model_management.unload_all_models()  # takes the LoRA off again
        assert state(sdxl) == before

    @pytest.mark.parametrize("failure", ["interrupt", "out of memory", "out of memory in the backward pass"])
    def test_nothing_is_left_in_the_models_after_a_failure(self, sdxl, failure, monkeypatch):
        before, calls = state(sdxl), []
        apply_model = comfy.model_base.BaseModel.apply_model

        def out_of_memory(*_):
            raise comfy.model_management.OOM_EXCEPTION("out of memory")

        def failing(self, *args, **kwargs):
            calls.append(torch.is_grad_enabled())
            result = apply_model(self, *args, **kwargs)
            if calls.count(True) == 3:
                if failure == "interrupt":
                    comfy.model_management.interrupt_current_processing()
                elif failure == "out of memory":
                    out_of_memory()
                else:
                    result.register_hook(out_of_memory)
            return result

        expected = null_text_of(plain_flow(sdxl)).result[0].null_text
        with monkeypatch.context() as patch:
            patch.setattr(comfy.model_base.BaseModel, "apply_model", failing)
            interrupt = comfy.model_management.InterruptProcessingException
            with pytest.raises(interrupt if failure == "interrupt" else comfy.model_management.OOM_EXCEPTION):
                null_text_of(plain_flow(sdxl))
        assert len(calls) < 3 * 5 and torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        assert state(sdxl) == before
        again = null_text_of(plain_flow(sdxl)).result[0].null_text
        assert torch.equal(again.texts[0], expected.texts[0])

    def test_what_another_pack_put_in_place_of_a_block_is_called_and_kept(self, sdxl, monkeypatch):
        block, called = sdxl.model.diffusion_model.middle_block[1].transformer_blocks[0], []
        forward = block.forward

        def others(*args, **kwargs):
            called.append(torch.is_grad_enabled())
            return forward(*args, **kwargs)

        monkeypatch.setitem(vars(block), "forward", others)
        null_text_of(plain_flow(sdxl))
        assert vars(block)["forward"] is others
        assert called.count(True) == 2 * 2 * 3  # twice for each of 2 inner steps: gradient checkpointing
        assert called.count(False) == 3 * 3

    def test_the_pooled_text_is_optimised_on_request_alone(self, sdxl):
        """Sizes follow the pooled text in the vector conditioning: they never change."""
        frozen, optimised = (
            null_text_of(plain_flow(sdxl), pooled=pooled).result[0] for pooled in ("frozen", "optimised")
        )
        assert len(frozen.null_text.texts) == 1 and frozen.null_text.texts[0].shape == (3, 1, 77, 2048)
        _, pooled = optimised.null_text.texts
        assert pooled.shape == (3, 1, 1280) and not torch.equal(pooled[0, 0], text(2)[0][1]["pooled_output"][0])
        seen = {}
        for name, flow in (("frozen", frozen), ("optimised", optimised), ("plain", samplers.CFGGuider(sdxl))):
            if name == "plain":
                flow.set_conds(text(1), text(2))
                flow.set_cfg(7.5)
            seen[name] = vector_conditioning(flow, schedule(sdxl, 3))
        assert torch.equal(seen["frozen"], seen["plain"])
        assert torch.equal(seen["optimised"][:, 1280:], seen["plain"][:, 1280:])
        assert torch.equal(seen["optimised"][:, :1280], pooled[-1])

    def test_starting_from_the_positive_takes_its_embedding_and_its_pooled_text(self, sdxl):
        """With no inner steps guidance has no effect then: sampling is that of cfg 1."""
        flow, noisy = null_text_of(plain_flow(sdxl), start_from="positive", inner_steps=0).result
        sigmas, embedding = schedule(sdxl, 3), text(1)[0][0]
        assert all(torch.equal(part, embedding) for part in flow.null_text.texts[0])
        unguided = samplers.CFGGuider(sdxl)
        unguided.set_conds(text(1), text(2))
        unguided.set_cfg(1.0)
        expected = sample(unguided, "euler", sigmas, noisy)
        torch.testing.assert_close(sample(flow, "euler", sigmas, noisy), expected, rtol=1e-4, atol=1e-3)
        assert torch.equal(vector_conditioning(flow, sigmas)[:, :1280], text(1)[0][1]["pooled_output"])
        optimised = null_text_of(plain_flow(sdxl), start_from="positive", pooled="optimised").result[0].null_text
        assert (optimised.texts[1][-1] - text(1)[0][1]["pooled_output"]).abs().max() < 0.1

    def test_only_the_negatives_text_is_replaced(self, sdxl):
        """The face, the ControlNet and their order stay; the positive side predicts what it did."""
        model, positive, negative = instantid_flow(sdxl)
        flow, noisy = null_text_of((model, positive, negative)).result
        untouched = samplers.CFGGuider(model)
        untouched.set_conds(positive, negative)
        for one in (flow, untouched):
            one.set_cfg(1.0)
        sigmas = schedule(sdxl, 3)
        assert torch.equal(sample(flow, "euler", sigmas, noisy), sample(untouched, "euler", sigmas, noisy))
        entries = [set(one.original_conds["negative"][0]) for one in (flow, untouched)]
        assert entries[0] == entries[1] and "control" in entries[0]


def vector_conditioning(flow, sigmas):
    """What the network gets as y of the negative side in the first call."""
    seen = []

    def wrapper(apply_model, args):
        if not seen:
            y = args["c"]["y"]
            seen.append(y[args["cond_or_uncond"].index(1)][None].clone())
        return apply_model(args["input"], args["timestep"], **args["c"])

    flow.model_options = {**flow.model_options, "model_function_wrapper": wrapper}
    sample(flow, "euler", sigmas, picture())
    return seen[0]

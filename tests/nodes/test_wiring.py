"""Graphs that connect one half of an identity method and forget the other: refused or told, whatever samples them."""

from concurrent.futures import ThreadPoolExecutor

import comfy.samplers
import folder_paths
import pytest
import torch
from comfy_extras.nodes_custom_sampler import BasicGuider, CFGGuider, DisableNoise, DualCFGGuider, SamplerCustomAdvanced
from comfy_extras.nodes_perpneg import PerpNegGuider
from customenhancer.host.call_order import may_keep_state
from customenhancer.host.null_text_guider import NullTextGuider
from customenhancer.host.wiring import check_wiring
from customenhancer.identity.photomaker_lora import KEY
from customenhancer.nodes.baselines import NullTextInversionNode, ReNoiseInversionNode
from customenhancer.nodes.flows import TripleFlowGuiderNode, TripleFlowSampleNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from customenhancer.nodes.pivots import RecordTrajectoryNode
from customenhancer.nodes.seeing import InversionReportNode
from helpers.photomaker_flow import run_photomaker, without_need
from nodes import ConditioningCombine, ConditioningSetMask, KSampler, LoraLoaderModelOnly
from safetensors.torch import save_file
from standins.instantid_host import predict, text
from standins.photomaker import lora_tensors

SIGMAS = torch.tensor([3.0, 1.0, 0.0])
NO_LORA = "comes from PhotoMaker Forward Flow, but the model beside it lacks PhotoMaker's LoRA"
NO_FACE = "forward_flow: its model comes from InstantID Forward Flow, but its conditioning carries no face"


def latent() -> dict:
    return {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))}


def guider(model, positive, negative=None):
    return CFGGuider.execute(model, positive, negative or text(2), 4.0).result[0]


def told(caplog) -> list[str]:
    """The warnings about the wiring since the last call."""
    found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    caplog.clear()
    return [message for message in found if "Connect the" in message]


def shown(output) -> str:
    """The text that a node shows, "" if it shows none."""
    return "\n".join(output.ui.as_dict()["text"]) if output.ui else ""


class TestFaceOnAModelWithoutFaceAttention:
    """InstantID's conditioning alone: the network would ignore it, so it is refused, with IdentityNet or without."""

    refused = pytest.raises(ValueError, match=r"^positive: carries a face of InstantID, .*Connect the model output")

    @pytest.fixture(params=[{"controlnet_strength": 0.0}, {"ip_adapter_scale": 0.0}, {}], ids=["face", "net", "both"])
    def conds(self, run_instantid, request):
        return run_instantid(**request.param)[1:3]

    @pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc"])
    def test_by_ksampler(self, sdxl, conds, sampler):
        with self.refused:
            KSampler().sample(sdxl, 1, 2, 4.0, sampler, "normal", *conds, latent())

    @pytest.mark.parametrize("kind", ["cfg", "basic", "dual", "perpneg", "negative alone", "masked"])
    def test_by_any_guider_of_the_host(self, sdxl, conds, kind):
        positive, negative = conds
        combined = ConditioningCombine().combine(text(1), positive)[0]
        masked = ConditioningSetMask().append(combined, torch.ones(1, 8, 8), "default", 1.0)[0]
        flow = {
            "cfg": lambda: guider(sdxl, positive, negative),
            "basic": lambda: BasicGuider.execute(sdxl, positive).result[0],
            "dual": lambda: DualCFGGuider.execute(sdxl, text(1), positive, negative, 3.0, 2.0, "nested").result[0],
            "perpneg": lambda: PerpNegGuider.execute(sdxl, positive, negative, text(3), 3.0, 1.0).result[0],
            "negative alone": lambda: guider(sdxl, text(1), negative),
            "masked": lambda: guider(sdxl, masked),
        }[kind]()
        noise, euler = DisableNoise.execute().result[0], comfy.samplers.sampler_object("euler")
        with self.refused:
            SamplerCustomAdvanced.execute(noise, flow, euler, SIGMAS, latent())

    def test_by_our_nodes_before_they_ask_the_model(self, run_instantid, sdxl, monkeypatch):
        conds = run_instantid(controlnet_strength=0.0)[1:3]
        plain, wrong = guider(sdxl, text(1)), guider(sdxl, *conds)
        residual_noise, noisy = ResInversionNode.execute(plain, SIGMAS, latent()).result
        pivot, _ = DDIMInversionNode.execute(plain, SIGMAS, latent()).result
        monkeypatch.setattr(sdxl.model, "apply_model", lambda *args, **kwargs: pytest.fail("the model was asked"))
        noise, euler = DisableNoise.execute().result[0], comfy.samplers.sampler_object("euler")
        runs = [
            (ResInversionNode, (wrong, SIGMAS, latent())),
            (DDIMInversionNode, (wrong, SIGMAS, latent())),
            (ReNoiseInversionNode, (wrong, SIGMAS, latent())),
            (RecordResidualNoiseNode, (wrong, pivot)),
            (RecordTrajectoryNode, (noise, wrong, euler, SIGMAS, latent())),
            (InversionReportNode, (residual_noise, wrong)),
            (NullTextInversionNode, (sdxl, *conds, SIGMAS, latent())),
            (TripleFlowGuiderNode, (plain, wrong)),
            (TripleFlowGuiderNode, (wrong, plain)),
            (TripleFlowSampleNode, (plain, wrong, residual_noise, noisy)),
        ]
        for node, inputs in runs:
            with self.refused:
                node.execute(*inputs)

    def test_a_face_that_is_only_looked_at_is_not_refused(self, run_instantid, sdxl):
        """Only what a network is about to ignore is: others may read a cond's area, and memory is estimated."""
        cond = guider(sdxl, *run_instantid()[1:3]).original_conds["positive"][0]
        assert comfy.samplers.get_area_and_mult(cond, torch.zeros(1, 4, 8, 8), torch.ones(1)) is not None


def test_a_model_with_face_attention_is_known_in_the_threads_of_several_gpus(run_instantid, monkeypatch):
    """There the host prepares the conds in one thread, and joins them in another, which sees nothing of the first."""
    flow = run_instantid()[:3]
    expected, join = predict(*flow), comfy.samplers.cond_cat

    def in_a_thread(*args, **kwargs):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(join, *args, **kwargs).result()

    monkeypatch.setattr(comfy.samplers, "cond_cat", in_a_thread)
    assert torch.equal(predict(*flow), expected)


class TestFaceAttentionWithoutAFace:
    """InstantID's model alone: a pivot flow may have it; a forward flow is there for the face."""

    def test_a_forward_flow_without_a_face_is_told(self, run_instantid, caplog):
        patched = run_instantid()[0]
        output = TripleFlowGuiderNode.execute(guider(patched, text(1)), guider(patched, text(3)))
        (message,) = told(caplog)
        assert NO_FACE in message and "positive and negative outputs" in message
        assert shown(output) in message and NO_FACE in shown(output)

    def test_triple_flow_sample_tells_it_too(self, run_instantid, caplog):
        flow = guider(run_instantid()[0], text(1))
        residual_noise, noisy = ResInversionNode.execute(flow, SIGMAS, latent()).result
        output = TripleFlowSampleNode.execute(flow, flow, residual_noise, noisy, start_step=0)
        assert len(told(caplog)) == 1 and NO_FACE in shown(output)

    def test_a_right_graph_hears_nothing(self, run_instantid, caplog):
        patched, positive, negative, _ = run_instantid()
        pivot, forward = guider(patched, text(1)), guider(patched, positive, negative)
        inner = TripleFlowGuiderNode.execute(pivot, forward)
        nested = [TripleFlowGuiderNode.execute(*flows) for flows in ((inner[0], forward), (pivot, inner[0]))]
        inverted = ResInversionNode.execute(pivot, SIGMAS, latent())
        assert not any(map(shown, (inner, *nested, inverted))) and not told(caplog)


def test_the_packs_own_patches_keep_no_state(run_instantid):
    """So that inverting with them costs no call more than without."""
    patched, positive, negative, _ = run_instantid()
    assert not may_keep_state(guider(patched, positive, negative))
    patched.set_model_attn2_replace(lambda q, k, v, options: q, "input", 4, 0)
    assert may_keep_state(guider(patched, positive, negative))


class TestPhotoMakerWithoutItsLora:
    """PhotoMaker's positive on a model that lacks the file's LoRA: its likeness suffers, so the user is told."""

    @pytest.fixture
    def flow(self, sdxl, clip, photomaker, people):
        return run_photomaker(sdxl, clip, photomaker, people[:1])

    def test_every_node_that_takes_the_guider_tells_it(self, sdxl, flow, caplog):
        patched, positive, free = flow
        plain, wrong = guider(patched, free), guider(sdxl, positive)
        inverted = ResInversionNode.execute(wrong, SIGMAS, latent())
        assert len(told(caplog)) == 1 and f"guider: its positive {NO_LORA}" in shown(inverted)
        residual_noise, noisy = inverted.result
        for node, inputs in (
            (TripleFlowGuiderNode, (plain, wrong)),
            (TripleFlowSampleNode, (plain, wrong, residual_noise, noisy)),
        ):
            output = node.execute(*inputs, start_step=0)
            (message,) = told(caplog)
            assert f"forward_flow: its positive {NO_LORA}" in message and NO_LORA in shown(output)
        pivot, _ = DDIMInversionNode.execute(plain, SIGMAS, latent()).result
        assert not told(caplog)
        RecordResidualNoiseNode.execute(wrong, pivot)
        assert len(told(caplog)) == 1
        null_text = NullTextGuider(sdxl, positive, text(2), 4.0, None)
        assert f"positive: {NO_LORA}" in " ".join(check_wiring(null_text, None))

    def test_the_lora_is_looked_for_in_the_model_however_it_came_there(
        self, sdxl, flow, photomaker_parts, tmp_path, monkeypatch
    ):
        """By the node, at another strength, beside another LoRA, or from a file of its own by the stock loader."""
        patched, positive, _ = flow
        for name, tensors in (("same", photomaker_parts[1]), ("other", lora_tensors(seed=99))):
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / f"{name}.safetensors")
        monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
        load = LoraLoaderModelOnly().load_lora_model_only
        same, other = (load(sdxl, f"{name}.safetensors", 0.3)[0] for name in ("same", "other"))
        beside = load(patched, "other.safetensors", 1.0)[0]
        for model in (patched, same, beside, patched.clone()):
            assert check_wiring(guider(model, positive), "guider") == []
        for model in (sdxl, other):
            assert NO_LORA in " ".join(check_wiring(guider(model, positive), "guider"))

    def test_strength_0_is_the_users_choice(self, sdxl, clip, photomaker, people):
        model, positive, _ = run_photomaker(sdxl, clip, photomaker, people[:1], lora_strength=0.0)
        assert KEY not in positive[0][1] and check_wiring(guider(model, positive), "guider") == []

    def test_a_right_graph_hears_nothing_and_predicts_the_same_bits(self, flow, caplog):
        patched, positive, free = flow
        assert torch.equal(predict(patched, positive, text(2)), predict(patched, without_need(positive), text(2)))
        output = TripleFlowGuiderNode.execute(guider(patched, free), guider(patched, positive))
        assert not shown(output) and not told(caplog)


def test_guiders_that_keep_no_conditionings_are_not_judged(run_instantid, caplog):
    class Theirs:
        def __init__(self, model):
            self.model_patcher = model

    assert check_wiring(Theirs(run_instantid()[0]), "forward_flow", forward=True) == []

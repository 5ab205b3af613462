"""Guiders of other kinds as flows: the host's DualCFG and Perp-Neg, and those of a third-party pack."""

import comfy.samplers
import pytest
import third_party_pack
import torch
from comfy_extras.nodes_custom_sampler import DualCFGGuider, RandomNoise
from comfy_extras.nodes_perpneg import PerpNegGuider
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from helpers.weighted_flows import FORWARD_MEAN, PIVOT_MEAN, with_lora
from standins.analytic import conditioning
from standins.weighted import asked_alone, call_log, weighted_model

OTHERS = [conditioning(0.1, 0.4), conditioning(0.7, 0.2)]


def node(name):
    return third_party_pack.NODE_CLASS_MAPPINGS[name]()


def cfg(model, positive, scale=3.0):
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, OTHERS[0])
    guider.set_cfg(scale)
    return guider


GUIDERS = {
    "CFG": cfg,
    "DualCFG": lambda model, positive: DualCFGGuider.execute(model, positive, *OTHERS, 2.0, 3.0, "regular").result[0],
    "nested": lambda model, positive: DualCFGGuider.execute(model, positive, *OTHERS, 2.0, 3.0, "nested").result[0],
    "PerpNeg": lambda model, positive: PerpNegGuider.execute(model, positive, *OTHERS, 3.0, 0.7).result[0],
    "third-party": lambda model, positive: node("ThirdPartyIdentityGuider").get_guider(
        model, positive, *OTHERS, cfg=3.0, person_scale=0.5
    )[0],
}
PAIRS = [(name, "CFG") for name in GUIDERS] + [("CFG", name) for name in GUIDERS] + [("DualCFG", "PerpNeg")]


@pytest.mark.parametrize(("pivot_kind", "forward_kind"), PAIRS)
@pytest.mark.parametrize("forward_patch", [lambda model: model, with_lora(1)], ids=["one MODEL", "LoRA on one side"])
class TestKinds:
    def flows(self, pivot_kind, forward_kind, forward_patch, logged):
        model = weighted_model()
        pivot = GUIDERS[pivot_kind](model, conditioning(PIVOT_MEAN, 0.8))
        forward = GUIDERS[forward_kind](forward_patch(model), conditioning(FORWARD_MEAN, 0.8))
        return logged(pivot, "pivot"), logged(forward, "forward")

    @pytest.mark.parametrize("forward_scale", [1.0, 0.5])
    def test_every_call_is_that_of_the_flow_alone(self, pivot_kind, forward_kind, forward_patch, forward_scale):
        logged, log = call_log()
        pivot, forward = self.flows(pivot_kind, forward_kind, forward_patch, logged)
        sigmas = schedule(pivot.model_patcher)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        # What another pack's guider answers may depend on the calls before, so three steps are asked again.
        assert len(log) == (24 if pivot_kind == "third-party" else 21)
        log.clear()
        sample(triple_flow(pivot, forward, forward_scale=forward_scale), bimd(residual_noise), sigmas, noisy)
        asked = list(log)
        alone = self.flows(pivot_kind, forward_kind, forward_patch, logged)
        calls = {"pivot": 10 if forward_scale == 1 else 20, "forward": 10}
        for flow, (name, count) in zip(alone, calls.items(), strict=True):
            denoised = [answer for who, _, _, answer in asked if who == name]
            assert len(denoised) == count
            for ours, reference in zip(denoised, asked_alone(flow, sigmas, asked, name), strict=True):
                assert torch.equal(ours, reference)

    def test_the_forward_flow_off_gives_the_picture_back(self, pivot_kind, forward_kind, forward_patch):
        pivot, forward = self.flows(pivot_kind, forward_kind, forward_patch, call_log()[0])
        sigmas = schedule(pivot.model_patcher)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        for options in ({"forward_scale": 0.0}, {"start_step": 20}):
            flow = triple_flow(pivot, forward, **options)
            assert (sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5
        # Entered, too: a forward flow of the pivot's own kind and weights changes nothing.
        same = GUIDERS[pivot_kind](pivot.model_patcher.clone(), conditioning(PIVOT_MEAN, 0.8))
        for options in ({"forward_scale": 0.5}, {"start_step": 15}):
            flow = triple_flow(pivot, same, **options)
            assert (sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


@pytest.mark.parametrize("forward_patch", [lambda model: model, with_lora(1)], ids=["one MODEL", "LoRA on one side"])
@pytest.mark.parametrize("plain_is", ["pivot", "forward"])
def test_a_guider_that_has_only_sample_and_a_model_is_a_flow_as_well(plain_is, forward_patch):
    """It predicts what the host's CFGGuider predicts at CFG 1, and so must the triple flow made with it."""
    results = []
    for plain in (False, True):
        model = weighted_model()

        def unguided(model, positive, plain=plain):
            if plain:
                return node("ThirdPartyPlainGuider").get_guider(model, positive)[0]
            return cfg(model, positive, 1.0)

        makers = (unguided, cfg) if plain_is == "pivot" else (cfg, unguided)
        pivot = makers[0](model, conditioning(PIVOT_MEAN, 0.8))
        forward = makers[1](forward_patch(model), conditioning(FORWARD_MEAN, 0.8))
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        off = sample(triple_flow(pivot, forward, forward_scale=0.0), bimd(residual_noise), sigmas, noisy)
        assert (off - picture(batch=2)["samples"]).abs().max() <= 1e-5
        noise, euler = RandomNoise.execute(1).result[0], comfy.samplers.sampler_object("euler")
        for options in ({}, {"start_step": 0}, {"forward_scale": 0.5}):
            flow = triple_flow(pivot, forward, **options)
            results.append(sample(flow, bimd(residual_noise), sigmas, noisy))
            results.append(sample(flow, euler, sigmas, picture(batch=2), noise))
    assert all(map(torch.equal, results[:6], results[6:]))
    assert not torch.equal(results[0], off)

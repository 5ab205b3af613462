"""Guiders that answer by what they were asked before: ResInversion notices, records downwards, and stays exact."""

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_apg import APG
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_hooks import CreateHookKeyframe, SetHookKeyframes
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete, RescaleCFG
from customenhancer.host.call_order import follows_keyframes, may_keep_state
from customenhancer.nodes.baselines import NullTextInversionNode, ReNoiseInversionNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from helpers.sampling import bimd, picture, sample, schedule, triple_flow
from helpers.weighted_flows import FORWARD_MEAN, PIVOT_MEAN, logged_flow, lora_hooks, with_lora
from standins.weighted import call_log, conds, weighted_model

STEPS = 12
KEYFRAMES = [(1.0, 0.0), (0.0, 0.5)]


def apg(model, momentum=-0.5):
    """Adaptive projected guidance, with a running average of the guidance unless momentum is 0."""
    return APG.execute(model, 1.0, 5.0, momentum).result[0]


def chance(model):
    """A guidance function that adds noise of its own."""
    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(lambda args: args["denoised"] + 0.1 * torch.randn(args["input"].shape))
    return patched


def counted_over_all_runs(model):
    """A guidance function that counts its calls, over all samplings of a server."""
    patched, calls = model.clone(), []

    def drift(args):
        calls.append(0)
        return args["denoised"] * (1 + len(calls) / 100)

    patched.set_model_sampler_post_cfg_function(drift)
    return patched


def counted_in_each_run(model):
    """A wrapper around a whole sampling that starts a count of its calls anew, as model caches do."""
    patched, calls = model.clone(), []

    def start(executor, *args, **kwargs):
        calls.clear()
        return executor(*args, **kwargs)

    def scale(executor, *args, **kwargs):
        calls.append(0)
        return executor(*args, **kwargs) * (1 + len(calls) / 100)

    patched.add_wrapper_with_key("outer_sample", "count", start)
    patched.add_wrapper_with_key("predict_noise", "count", scale)
    return patched


def step_in_the_schedule(model):
    """A guidance function that looks up its step in the schedule which the host hands to patches."""
    patched = model.clone()

    def scale(args):
        sigmas = args["model_options"]["transformer_options"]["sample_sigmas"]
        return args["denoised"] * (1 + int((sigmas > args["sigma"][0]).sum()) / 100 + float(sigmas[0]) / 1000)

    patched.set_model_sampler_post_cfg_function(scale)
    return patched


def flow_on(patch, group=None):
    """A logged CFGGuider on a patched model, with hooks on its positive prompt; and the log."""
    logged, log = call_log()
    flow = logged_flow(logged, "pivot", patch(weighted_model()), PIVOT_MEAN)
    if group is not None:
        flow.set_conds(*conds(PIVOT_MEAN, hooks=group))
    return flow, log


def inverted(flow, **options):
    """Of ResInversion: residual noise, noisy latent, and what the node shows."""
    output = ResInversionNode.execute(flow, schedule(flow.model_patcher, STEPS), picture(), **options)
    return *output.result, output.ui.as_dict()["text"][0] if output.ui else ""


def error(flow, residual_noise, noisy):
    """Of sampling back, in latent units; twice, since a state may outlive one sampling."""
    sigmas = schedule(flow.model_patcher, STEPS)
    backs = [sample(flow, bimd(residual_noise), sigmas, noisy) for _ in range(2)]
    return max((back - picture()["samples"]).abs().max().item() for back in backs)


@pytest.mark.parametrize("evaluate_at", ["current", "target"])
@pytest.mark.parametrize("patch", [apg, counted_in_each_run], ids=["running average", "counter"])
def test_a_state_that_follows_falling_sigmas_is_recorded_downwards(patch, evaluate_at):
    flow, log = flow_on(patch)
    residual_noise, noisy, shown = inverted(flow, evaluate_at=evaluate_at)
    calls = len(log)
    assert error(flow, residual_noise, noisy) <= 1e-5
    if evaluate_at == "current":
        assert "second pass" in shown and f"about {STEPS} more guider calls" in shown
        assert calls == 2 * STEPS + 1 + 3 + 3


@pytest.mark.parametrize("momentum", [-0.9, -0.05, 0.3, 1.0])
def test_any_momentum_is_noticed(momentum):
    flow, _ = flow_on(lambda model: apg(model, momentum))
    residual_noise, noisy, shown = inverted(flow)
    assert shown and error(flow, residual_noise, noisy) <= 1e-5


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps(steps, monkeypatch):
    flow, _ = flow_on(counted_in_each_run)
    monkeypatch.setattr(__import__(__name__), "STEPS", steps)
    residual_noise, noisy, _ = inverted(flow)
    assert error(flow, residual_noise, noisy) <= 1e-5


@pytest.mark.parametrize("evaluate_at", ["current", "target"])
def test_keyframes_of_hooks_are_recorded_downwards(evaluate_at):
    flow, log = flow_on(lambda model: model, lora_hooks(1, *KEYFRAMES))
    residual_noise, noisy, shown = inverted(flow, evaluate_at=evaluate_at)
    assert len(log) == 2 * STEPS
    assert "hook keyframes" in shown
    assert error(flow, residual_noise, noisy) <= 1e-5


def test_keyframes_inside_a_triple_flow_are_seen():
    model, (logged, _) = weighted_model(), call_log()
    plain = logged_flow(logged, "pivot", model, PIVOT_MEAN)
    keyed = logged_flow(logged, "forward", model, FORWARD_MEAN)
    keyed.set_conds(*conds(FORWARD_MEAN, hooks=lora_hooks(1, *KEYFRAMES)))
    flow = triple_flow(plain, keyed, start_step=3, forward_scale=0.5)
    assert follows_keyframes(flow) and not follows_keyframes(triple_flow(plain, plain))
    residual_noise, noisy, _ = inverted(flow)
    assert error(flow, residual_noise, noisy) <= 1e-5


@pytest.mark.parametrize(
    "patch",
    [lambda model: apg(model, 0.0), lambda model: RescaleCFG().patch(model, 0.7)[0], step_in_the_schedule],
    ids=["APG without momentum", "RescaleCFG", "step looked up in the schedule"],
)
def test_functions_without_a_state_cost_three_calls(patch):
    flow, log = flow_on(patch)
    residual_noise, noisy, shown = inverted(flow)
    assert len(log) == STEPS + 1 + 3 and not shown
    assert error(flow, residual_noise, noisy) <= 1e-5


@pytest.mark.parametrize("kind", ["plain", "LoRA", "hooked LoRA", "its own sampling"])
def test_the_common_case_costs_one_call_more_than_steps(kind):
    patches = {
        "LoRA": with_lora(3),
        "its own sampling": lambda model: ModelSamplingDiscrete().patch(model, "v_prediction", False)[0],
    }
    flow, log = flow_on(patches.get(kind, lambda model: model), lora_hooks(1) if kind == "hooked LoRA" else None)
    assert not may_keep_state(flow)
    residual_noise, noisy, shown = inverted(flow)
    assert len(log) == STEPS + 1 and not shown
    assert error(flow, residual_noise, noisy) <= 1e-5


@pytest.mark.parametrize("patch", [chance, counted_over_all_runs])
@pytest.mark.parametrize("evaluate_at", ["current", "target"])
def test_what_never_comes_back_alike_is_refused(patch, evaluate_at):
    flow, _ = flow_on(patch)
    with pytest.raises(ValueError, match="guider: asked the same again, it answers otherwise"):
        inverted(flow, evaluate_at=evaluate_at)


def test_freeu_may_keep_a_state_as_far_as_anyone_can_tell():
    class Network(torch.nn.Module):
        dtype = torch.float32

    model = weighted_model()
    model.model.model_config.unet_config["model_channels"] = 32
    flow, _ = flow_on(lambda _: FreeU_V2.execute(model, 1.3, 1.4, 0.9, 0.2).result[0])
    assert may_keep_state(flow)


@pytest.mark.parametrize("cache", [EasyCacheNode, LazyCacheNode])
class TestModelCaches:
    def cached(self, cache, model):
        model.model.latent_format.latent_channels = 4
        return cache.execute(model, 0.2, 0.15, 0.95, False).result[0]

    def test_an_inversion_refuses(self, cache):
        flow, _ = flow_on(lambda model: self.cached(cache, model))
        inputs = flow, schedule(flow.model_patcher, STEPS), picture()
        for node in (ResInversionNode, DDIMInversionNode, ReNoiseInversionNode):
            with pytest.raises(ValueError, match=r"guider: EasyCache or LazyCache .* forward flow only"):
                node.execute(*inputs)
        with pytest.raises(ValueError, match=r"model: EasyCache or LazyCache .* forward flow only"):
            NullTextInversionNode.execute(flow.model_patcher, *conds(PIVOT_MEAN), *inputs[1:])

    def test_the_forward_flow_may_have_one(self, cache):
        logged, _ = call_log()
        model = weighted_model()
        pivot = logged_flow(logged, "pivot", model, PIVOT_MEAN)
        forward = logged_flow(logged, "forward", self.cached(cache, model), FORWARD_MEAN)
        residual_noise, noisy, _ = inverted(pivot)
        final = sample(triple_flow(pivot, forward, start_step=3), bimd(residual_noise), schedule(model, STEPS), noisy)
        assert torch.isfinite(final).all() and not torch.equal(final, picture()["samples"])


def test_null_texts_refuse_keyframes():
    positive, negative = conds(PIVOT_MEAN, hooks=lora_hooks(1, *KEYFRAMES))
    model = weighted_model()
    with pytest.raises(ValueError, match="positive: has hook keyframes"):
        NullTextInversionNode.execute(model, positive, negative, schedule(model, STEPS), picture())


def test_a_single_keyframe_is_no_schedule():
    (frame,) = CreateHookKeyframe().create_hook_keyframe(0.5, 0.0)
    (group,) = SetHookKeyframes().set_hook_keyframes(lora_hooks(1), frame)
    assert not follows_keyframes(flow_on(lambda model: model, group)[0])


def test_a_guider_of_another_pack_is_asked_again():
    class Theirs(comfy.samplers.CFGGuider):
        calls = 0

        def predict_noise(self, *args, **kwargs):
            self.calls += 1
            return super().predict_noise(*args, **kwargs)

    flow = Theirs(weighted_model())
    flow.set_conds(*conds(PIVOT_MEAN))
    residual_noise, noisy, _ = inverted(flow)
    assert flow.calls == STEPS + 1 + 3
    assert error(flow, residual_noise, noisy) <= 1e-5


def test_record_residual_noise_stays_exact_with_a_running_average():
    flow, log = flow_on(apg)
    sigmas = schedule(flow.model_patcher, STEPS)
    pivot, noisy = DDIMInversionNode.execute(flow, sigmas, picture()).result
    log.clear()
    (residual_noise,) = RecordResidualNoiseNode.execute(flow, pivot).result
    assert len(log) == STEPS
    assert error(flow, residual_noise, noisy) <= 1e-5


@pytest.mark.parametrize("patch", [apg, step_in_the_schedule], ids=["running average", "step of its own"])
def test_steps_that_cannot_share_a_call_are_noticed(patch):
    flow, _ = flow_on(patch)
    pivot, _ = DDIMInversionNode.execute(flow, schedule(flow.model_patcher, STEPS), picture()).result
    with pytest.raises(ValueError, match="steps_per_call: something on the guider's MODEL"):
        RecordResidualNoiseNode.execute(flow, pivot, steps_per_call=4)


def test_steps_that_can_share_a_call_still_do():
    flow, log = flow_on(lambda model: apg(model, 0.0))
    pivot, noisy = DDIMInversionNode.execute(flow, schedule(flow.model_patcher, STEPS), picture()).result
    log.clear()
    (residual_noise,) = RecordResidualNoiseNode.execute(flow, pivot, steps_per_call=4).result
    assert len(log) == STEPS / 4 + 3
    assert error(flow, residual_noise, noisy) <= 1e-4


@pytest.mark.parametrize(("patch", "warns"), [(counted_over_all_runs, True), (apg, False)])
def test_null_texts_warn_where_sampling_ends_elsewhere(patch, warns):
    model = patch(weighted_model())
    inputs = model, *conds(PIVOT_MEAN), schedule(model, 6), picture()
    output = NullTextInversionNode.execute(*inputs, inner_steps=0)
    assert ("Sampling with these null texts ends" in output.ui.as_dict()["text"][0]) == warns


def test_null_texts_are_not_optimised_through_a_state():
    model = apg(weighted_model())
    with pytest.raises(ValueError, match="model: something on it keeps its answers from call to call"):
        NullTextInversionNode.execute(model, *conds(PIVOT_MEAN), schedule(model, 6), picture(), inner_steps=2)

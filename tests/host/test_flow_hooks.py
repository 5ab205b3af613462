"""LoRA hooks on the conditioning of two flows: each call has its own flow's hooks, on one MODEL or on clones."""

import comfy.hooks
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_curve import CurveEditor
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from helpers.weighted_flows import FORWARD_MEAN, PIVOT_MEAN, logged_flow, lora_hooks, with_lora
from standins.analytic import conditioning
from standins.weighted import asked_alone, call_log, conds, weighted_model


def flow(logged, name, model, mean, group, hooked=""):
    """A guider whose positive cond has the hooks, or both of its conds, or a second positive that sets in later."""
    flow = logged_flow(logged, name, model, mean)
    options = {} if group is None else {"hooks": group}
    if group is not None and "40%" in hooked:
        later = conditioning(mean + 0.3, 0.8, start_percent=0.4, end_percent=1.0, **options)
        flow.set_conds(conds(mean)[0] + later, conds(mean)[1])
        return flow
    positive, negative = conds(mean, **options)
    flow.set_conds(positive, [[negative[0][0], dict(options)]] if "every" in hooked else negative)
    return flow


KEYFRAMES = [(0.2, 0.0), (0.7, 0.1), (1.5, 0.15), (0.4, 0.2), (1.0, 0.6), (0.1, 0.9)]
HOOKED = {
    "pivot": lambda: (lora_hooks(1), None),
    "forward": lambda: (None, lora_hooks(2)),
    "both": lambda: (lora_hooks(1), lora_hooks(2)),
    "both with the same": lambda: (lora_hooks(1),) * 2,
    "pivot with keyframes": lambda: (lora_hooks(1, *KEYFRAMES), None),
    "forward with keyframes": lambda: (lora_hooks(1), lora_hooks(2, *KEYFRAMES)),
    "both with the same keyframes": lambda: (lora_hooks(1, *KEYFRAMES),) * 2,
    "both, on every cond": lambda: (lora_hooks(1), lora_hooks(2, *KEYFRAMES)),
    "forward with keyframes, from 40% on": lambda: (None, lora_hooks(2, *KEYFRAMES)),
}
MODELS = {
    "one MODEL": lambda model: (model, model),
    "clones": lambda model: (model, model.clone()),
    "clones, one with a LoRA": lambda model: (model, with_lora(3)(model)),
    "clones, one with a LoRA on the hooked layer": lambda model: (with_lora(3)(model), model),
    "clones, one with its own sampling": lambda model: (model, ModelSamplingDiscrete().patch(model, "eps", True)[0]),
    "two models": lambda model: (model, weighted_model(7)),
}


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize("hooked", HOOKED)
def test_every_call_is_that_of_the_flow_alone(hooked, models):
    """The reference: the same guider by itself on a model of its own, through the whole schedule."""
    logged, log = call_log()

    def flows():
        model = weighted_model()
        pairs = zip(
            ("pivot", "forward"), MODELS[models](model), (PIVOT_MEAN, FORWARD_MEAN), HOOKED[hooked](), strict=True
        )
        return [flow(logged, *pair, hooked) for pair in pairs]

    pivot, forward = flows()
    sigmas = schedule(pivot.model_patcher)
    pivot_model = pivot.model_patcher.model
    before = {key: weight.clone() for key, weight in pivot_model.diffusion_model.state_dict().items()}
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    for forward_scale in (1.0, 0.5):
        log.clear()
        sample(triple_flow(pivot, forward, forward_scale=forward_scale), bimd(residual_noise), sigmas, noisy)
        asked = list(log)
        for alone, name in zip(flows(), ("pivot", "forward"), strict=True):
            denoised = [answer for who, _, _, answer in asked if who == name]
            assert len(denoised) == (20 if name == "pivot" and forward_scale != 1 else 10)
            for ours, reference in zip(denoised, asked_alone(alone, sigmas, asked, name), strict=True):
                assert torch.equal(ours, reference)
    for guider in (pivot, forward):
        patcher = guider.model_patcher
        assert not patcher.hook_patches and patcher.hook_patches_backup is None
        assert not patcher.hook_backup and not patcher.cached_hook_patches and patcher.current_hooks is None
        patcher.detach()
    assert all(map(torch.equal, before.values(), pivot_model.diffusion_model.state_dict().values()))


@pytest.mark.parametrize("separate", [False, True])
def test_flows_nested_in_flows_follow_the_keyframes_that_they_share(separate):
    logged, log = call_log()
    group, means = lora_hooks(1, *KEYFRAMES), {"first": PIVOT_MEAN, "second": FORWARD_MEAN, "third": 0.2}

    def flows():
        model = weighted_model()
        return [
            flow(logged, name, weighted_model() if separate else model.clone(), mean, group)
            for name, mean in means.items()
        ]

    first, second, third = flows()
    sigmas = schedule(first.model_patcher)
    residual_noise, noisy = invert(first, sigmas, picture(batch=2))
    log.clear()
    inner = triple_flow(third, second, start_step=12, forward_scale=0.7)
    sample(triple_flow(first, inner, start_step=5, forward_scale=0.5), bimd(residual_noise), sigmas, noisy)
    asked = list(log)
    for alone, name, calls in zip(flows(), means, (20, 8, 15), strict=True):
        denoised = [answer for who, _, _, answer in asked if who == name]
        assert len(denoised) == calls
        assert all(map(torch.equal, denoised, asked_alone(alone, sigmas, asked, name)))


@pytest.mark.parametrize("hooked", HOOKED)
def test_a_hooked_lora_changes_what_its_flow_draws(hooked):
    """Without this, the comparison above could be between two flows whose hooks do nothing."""
    logged, log = call_log()
    model, euler = weighted_model(), comfy.samplers.sampler_object("euler")
    for name, group in zip(("pivot", "forward"), HOOKED[hooked](), strict=True):
        for hooking in (group, None):
            sample(flow(logged, name, model, PIVOT_MEAN, hooking), euler, schedule(model), picture(batch=2))
        first, *_, last = [torch.equal(a[3], b[3]) for a, b in zip(log[:20], log[20:], strict=True)]
        assert (first, last) == (group is None, group is None)
        log.clear()


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize("hooked", ["pivot", "forward", "both", "both with the same"])
def test_the_forward_flow_off_gives_the_picture_back(hooked, models):
    logged, _ = call_log()
    pivot, forward = (
        flow(logged, name, model, mean, group)
        for model, name, mean, group in zip(
            MODELS[models](weighted_model()),
            ("pivot", "forward"),
            (PIVOT_MEAN, FORWARD_MEAN),
            HOOKED[hooked](),
            strict=True,
        )
    )
    sigmas = schedule(pivot.model_patcher)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    off = triple_flow(pivot, forward, forward_scale=0.0)
    assert (sample(off, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5
    # Entered, too, up to the starting step: a forward flow that predicts as the pivot flow changes nothing.
    same = flow(logged, "same", pivot.model_patcher, PIVOT_MEAN, HOOKED[hooked]()[0])
    nested = triple_flow(pivot, same, start_step=15)
    assert (sample(nested, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


@pytest.mark.parametrize("hooked", ["pivot with keyframes", "both with the same keyframes"])
def test_keyframes_of_the_pivot_flow_are_exact_with_record_residual_noise(hooked):
    """Keyframes go from noise to picture, as Record Residual Noise does; an inversion goes the other way."""
    logged, _ = call_log()
    model = weighted_model()
    groups = HOOKED[hooked]()
    pivot, forward = (
        flow(logged, name, model, mean, group)
        for name, mean, group in zip(("pivot", "forward"), (PIVOT_MEAN, FORWARD_MEAN), groups, strict=True)
    )
    sigmas = schedule(model)
    inverted, noisy = DDIMInversionNode.execute(pivot, sigmas, picture(batch=2)).result
    (residual_noise,) = RecordResidualNoiseNode.execute(pivot, inverted).result
    same = flow(logged, "same", model, PIVOT_MEAN, groups[0])
    for other, options in (
        (forward, {"forward_scale": 0.0}),
        (forward, {"start_step": 20}),
        (same, {"start_step": 12}),
        (same, {"forward_scale": 0.5}),
    ):
        flows = triple_flow(pivot, other, **options)
        assert (sample(flows, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


def test_conds_with_the_same_hooks_still_run_in_one_batch():
    model, batches = weighted_model(), []
    model.model.diffusion_model.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    logged, _ = call_log()
    pivot, forward = (
        flow(logged, name, model, mean, lora_hooks(seed), "on every cond")
        for seed, (name, mean) in enumerate((("pivot", PIVOT_MEAN), ("forward", FORWARD_MEAN)))
    )
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    batches.clear()
    sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
    assert batches == [2 * len(picture(batch=2)["samples"])] * 20


def test_the_pivot_flows_keyframes_go_on_while_the_forward_flow_alone_is_asked():
    """A curve that falls below 1 asks the pivot flow again: at the keyframe that it would have reached by itself."""
    logged, log = call_log()
    group = lora_hooks(1, *KEYFRAMES)

    def flows():
        model = weighted_model()
        return [
            flow(logged, "pivot", model, PIVOT_MEAN, group),
            flow(logged, "forward", model.clone(), FORWARD_MEAN, None),
        ]

    pivot, forward = flows()
    sigmas = schedule(pivot.model_patcher)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    log.clear()
    falling = CurveEditor.execute({"points": [(0.0, 1.0), (0.7, 1.0), (1.0, 0.2)], "interpolation": "linear"}).result[0]
    sample(triple_flow(pivot, forward, start_step=4, forward_curve=falling), bimd(residual_noise), sigmas, noisy)
    asked = list(log)
    denoised = [answer for who, _, _, answer in asked if who == "pivot"]
    assert 4 < len(denoised) < 20
    assert all(map(torch.equal, denoised, asked_alone(flows()[0], sigmas, asked, "pivot")))

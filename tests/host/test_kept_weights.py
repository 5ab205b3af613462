"""What patches make of the weights is computed once a run, and nothing else changes by it."""

import itertools

import comfy.model_management
import comfy.samplers
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from comfy.weight_adapter import WeightAdapterBase
from helpers.newer_host import DualModelGuider, needs_dual_model_guider
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from helpers.weighted_flows import FORWARD_MEAN, PIVOT_MEAN, logged_flow
from standins.analytic import conditioning
from standins.weighted import KEY, asked_alone, call_log, weighted_model


class CountedPatch(WeightAdapterBase):
    """A weight patch like a LoRA's, that writes down under which name and at which strength it was applied."""

    name = "counted"

    def __init__(self, who, applied, seed=1):
        self.who, self.applied, self.seed = who, applied, seed

    def calculate_weight(self, weight, key, strength, strength_model, offset, function, *args):
        """Count, and add noise of the seed."""
        self.applied.append((self.who, strength))
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(self.seed)) / 3
        return weight + strength * noise.to(weight.dtype)


def patched(model, who, applied, strength=1.0, seed=1):
    model = model.clone()
    assert model.add_patches({KEY: CountedPatch(who, applied, seed)}, strength)
    return model


@pytest.fixture
def applied():
    """Who was applied, in order."""
    return []


@pytest.fixture
def short_of_memory(monkeypatch):
    """A machine whose memory is just not enough to keep anything."""
    free = comfy.model_management.minimum_inference_memory()
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args: free)


def flows(pivot_model, forward_model, logged=None):
    logged = logged or call_log()[0]
    return (
        logged_flow(logged, "pivot", pivot_model, PIVOT_MEAN),
        logged_flow(logged, "forward", forward_model, FORWARD_MEAN),
    )


def run(pivot, forward, applied, **options):
    """Samples of the two flows, and who was applied during that."""
    sigmas = schedule(pivot.model_patcher)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    comfy.model_management.unload_all_models()
    applied.clear()
    samples = sample(triple_flow(pivot, forward, **options), bimd(residual_noise), sigmas, noisy)
    return samples, [who for who, _ in applied]


OPTIONS = {
    "scale 1": {},
    "from step 0": {"start_step": 0},
    "at the last step": {"start_step": 19},
    "scale 0.5": {"forward_scale": 0.5},
    "scale 2 from step 0": {"forward_scale": 2.0, "start_step": 0},
    "a mask": {"forward_mask": torch.arange(64).reshape(1, 8, 8) / 63},
}


@pytest.mark.parametrize("options", OPTIONS)
class TestOneApplication:
    """At 20 steps; the pivot's own load, which any guider's sampling begins with, is counted by itself."""

    def test_on_the_forward_flow(self, applied, options):
        model = weighted_model()
        assert run(*flows(model, patched(model, "forward", applied)), applied, **OPTIONS[options])[1] == ["forward"]

    def test_on_the_pivot_flow(self, applied, options):
        model = weighted_model()
        assert run(*flows(patched(model, "pivot", applied), model), applied, **OPTIONS[options])[1] == ["pivot"]

    def test_of_another_on_each(self, applied, options):
        model = weighted_model()
        both = flows(patched(model, "pivot", applied, 0.3), patched(model, "forward", applied, 0.7, seed=2))
        assert run(*both, applied, **OPTIONS[options])[1] == ["pivot", "forward"]

    def test_in_flows_nested_in_flows(self, applied, options):
        model = weighted_model()
        first, second, third = (
            logged_flow(call_log()[0], "", patched(model, str(n), applied, seed=n), PIVOT_MEAN) for n in range(3)
        )
        inner = triple_flow(second, third, **OPTIONS[options])
        for pair in ((first, inner), (inner, first)):
            assert sorted(run(*pair, applied, start_step=5, forward_scale=0.5)[1]) == ["0", "1", "2"]

    def test_the_samples_are_those_without_keeping(self, applied, options, request):
        drawn = []
        for _ in range(2):
            model = weighted_model()
            both = flows(patched(model, "pivot", applied, 0.3), patched(model, "forward", applied, 0.7, seed=2))
            drawn.append(run(*both, applied, **OPTIONS[options]))
            request.getfixturevalue("short_of_memory")
        (kept, names), (anew, more_names) = drawn
        assert torch.equal(kept, anew) and len(more_names) >= len(names)


@pytest.mark.parametrize("options", [{"forward_scale": 0.0}, {"start_step": 20}])
def test_nothing_is_applied_for_a_forward_flow_that_never_acts(applied, options):
    model = weighted_model()
    assert run(*flows(model, patched(model, "forward", applied)), applied, **options)[1] == []


@pytest.mark.parametrize(("forward_scale", "times"), [(1.0, 2), (0.5, 6)])
def test_without_memory_to_keep_them_weights_are_patched_at_each_turn(applied, short_of_memory, forward_scale, times):
    """As the help tells: twice at scale 1, else once more at every second step from the starting step on."""
    model = weighted_model()
    both = flows(model, patched(model, "forward", applied))
    assert run(*both, applied, forward_scale=forward_scale)[1] == ["forward"] * times


def test_strengths_that_change_on_cached_models_never_drift(applied):
    """Twenty prompts in a row on two cached MODELs: each gives what a fresh model gives, to the last bit."""
    model, fresh = weighted_model(), {}
    before = model.model.diffusion_model.mix.weight.clone()
    strengths = [(0.0, 1.0), (1.0, 0.0), (0.4, 0.4), (-0.5, 1.5)]
    cached = {
        pair: [patched(model, "", applied, strength, seed) for seed, strength in enumerate(pair)] for pair in strengths
    }
    for turn, (pair, scale) in enumerate(itertools.islice(itertools.cycle(itertools.product(strengths, (1, 0.5))), 20)):
        pivot, forward = flows(*cached[pair])
        if (pair, scale) not in fresh:
            others = [patched(weighted_model(), "", applied, strength, seed) for seed, strength in enumerate(pair)]
            fresh[pair, scale] = run(*flows(*others), applied, forward_scale=scale)[0]
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        drawn = sample(triple_flow(pivot, forward, forward_scale=scale), bimd(residual_noise), sigmas, noisy)
        assert torch.equal(drawn, fresh[pair, scale]), turn
    comfy.model_management.unload_all_models()
    assert torch.equal(model.model.diffusion_model.mix.weight, before) and not model.backup


@pytest.mark.parametrize("failing", range(2, 8))
def test_a_load_that_runs_out_of_memory_leaves_both_models_as_they_were(applied, monkeypatch, failing):
    model = weighted_model()
    before = model.model.diffusion_model.mix.weight.clone()
    both = flows(patched(model, "pivot", applied, 0.3), patched(model, "forward", applied, 0.7, seed=2))
    patches = [dict(flow.model_patcher.patches) for flow in both]
    good = run(*both, applied, forward_scale=0.5)[0]
    residual_noise, noisy = invert(both[0], schedule(model), picture(batch=2))
    load, loads = ModelPatcher.load, []

    def run_out(self, *args, **options):
        loads.append(self)
        if len(loads) == failing:
            raise torch.OutOfMemoryError("allocation on device")
        return load(self, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(ModelPatcher, "load", run_out)
        comfy.model_management.unload_all_models()
        sample(triple_flow(*both, forward_scale=0.5), bimd(residual_noise), schedule(model), noisy)
    assert [flow.model_patcher.patches for flow in both] == patches
    assert torch.equal(run(*both, applied, forward_scale=0.5)[0], good)
    comfy.model_management.unload_all_models()
    assert torch.equal(model.model.diffusion_model.mix.weight, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_any_type_are_put_back_to_the_bit(applied, dtype, monkeypatch):
    """Kept are those of 16 bits or more; eight bits are rounded by chance, so the host patches them anew."""
    model = weighted_model()
    model.model.diffusion_model.mix.weight = torch.nn.Parameter(
        model.model.diffusion_model.mix.weight.to(dtype), requires_grad=False
    )
    for module in (model.model.diffusion_model.mix, model.model.diffusion_model.tell):
        module.comfy_cast_weights = True
    forward = patched(model, "forward", applied)
    comfy.model_management.load_models_gpu([forward])
    expected = model.model.diffusion_model.mix.weight.clone()
    found = []

    class Looking(comfy.samplers.CFGGuider):
        def predict_noise(self, *args, **kwargs):
            found.append(self.inner_model.diffusion_model.mix.weight.clone())
            return super().predict_noise(*args, **kwargs)

    flow = Looking(forward)
    flow.set_conds(conditioning(FORWARD_MEAN, 0.8), conditioning(0.1, 0.4))
    _, names = run(flows(model, model)[0], flow, applied, forward_scale=0.5)
    assert len(found) == 10 and names == ["forward"] * (6 if dtype.itemsize == 1 else 1)
    for weight in found:
        assert weight.dtype == dtype and torch.equal(weight.view(torch.uint8), expected.view(torch.uint8))


def test_what_is_kept_goes_with_the_run(applied, monkeypatch):
    """Not even the host's own MODELs hold it afterwards."""
    model = weighted_model()
    pivot, forward = flows(model, patched(model, "forward", applied))
    patch = forward.model_patcher.patches[KEY]
    assert run(pivot, forward, applied)[1] == run(pivot, forward, applied)[1] == ["forward"]
    assert forward.model_patcher.patches == {KEY: patch} and forward.model_patcher.patches[KEY] is patch


@needs_dual_model_guider
class TestDualModelGuider:
    """The host's guider with a second MODEL for the negative side, as either flow."""

    def dual(self, logged, name, model, negative_model, mean):
        sides = model, conditioning(mean, 0.8), 3.0, negative_model, conditioning(0.1, 0.4)
        return logged(DualModelGuider.execute(*sides).result[0], name)

    @pytest.mark.parametrize("forward_scale", [1.0, 0.5])
    @pytest.mark.parametrize("second", ["the other flow's, patched there", "the other flow's", "of its own"])
    @pytest.mark.parametrize("dual_is", ["pivot", "forward"])
    def test_every_call_is_that_of_the_flow_alone(self, applied, dual_is, second, forward_scale):
        """Also where the second MODEL is the first of the other flow, which patches its weights."""
        logged, log = call_log()

        def both(apart):
            model, negative = weighted_model(), weighted_model(1)
            theirs = weighted_model(1) if apart or second == "of its own" else negative.clone()
            if second == "the other flow's, patched there":
                theirs = patched(theirs, "other", applied)
            means = {"pivot": PIVOT_MEAN, "forward": FORWARD_MEAN}
            return [
                self.dual(logged, name, model, negative, mean)
                if name == dual_is
                else logged_flow(logged, name, theirs, mean)
                for name, mean in means.items()
            ]

        pivot, forward = both(apart=False)
        sigmas = schedule(pivot.model_patcher)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        for _ in range(2):
            log.clear()
            sample(triple_flow(pivot, forward, forward_scale=forward_scale), bimd(residual_noise), sigmas, noisy)
            asked = list(log)
            for flow, name in zip(both(apart=True), ("pivot", "forward"), strict=True):
                denoised = [answer for who, _, _, answer in asked if who == name]
                assert len(denoised) == (20 if name == "pivot" and forward_scale != 1 else 10)
                for ours, reference in zip(denoised, asked_alone(flow, sigmas, asked, name), strict=True):
                    assert torch.equal(ours, reference)
        off = sample(triple_flow(pivot, forward, forward_scale=0.0), bimd(residual_noise), sigmas, noisy)
        assert (off - picture(batch=2)["samples"]).abs().max() <= 1e-5
        for flow in (pivot, forward):
            assert flow.model_patcher.model.current_patcher is None

    def test_a_second_model_that_the_other_flow_crowded_out_is_loaded_again(self):
        model, negative = weighted_model(), weighted_model(1)
        logged, _ = call_log()

        class Crowding(comfy.samplers.CFGGuider):
            def outer_sample(self, *args, **kwargs):
                comfy.model_management.unload_model_and_clones(negative)
                return super().outer_sample(*args, **kwargs)

        pivot = self.dual(logged, "pivot", model, negative, PIVOT_MEAN)
        forward = Crowding(weighted_model(2))
        forward.set_conds(conditioning(FORWARD_MEAN, 0.8), conditioning(0.1, 0.4))
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
        assert negative in comfy.model_management.loaded_models()

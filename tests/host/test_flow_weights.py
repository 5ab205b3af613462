"""Two flows over one set of weights that each patches in its own way: every call has the right weights."""

import comfy.model_management
import comfy.samplers
import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import PatcherInjection
from comfy_extras.nodes_custom_sampler import RandomNoise
from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM, ModelSamplingDiscrete, RescaleCFG
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from helpers.weighted_flows import FORWARD_MEAN, PIVOT_MEAN, logged_flow, with_lora
from standins.weighted import KEY, asked_alone, call_log, conds, weighted_model


def plain(model):
    return model.clone()


def wrapped(model):
    model = model.clone()
    model.add_weight_wrapper(KEY, lambda weight: 0.5 * weight)
    return model


def zero_terminal_snr(model):
    return ModelSamplingDiscrete().patch(model, "eps", True)[0]


def computed_in_double(model):
    model = model.clone()
    model.set_model_compute_dtype(torch.float64)
    return model


def both(*patches):
    def apply(model):
        for patch in patches:
            model = patch(model)
        return model

    return apply


DIFFERENCES = {
    "LoRA on the forward flow": (plain, with_lora(1)),
    "LoRA on the pivot flow": (with_lora(1), plain),
    "another LoRA on each": (with_lora(1), with_lora(2)),
    "LoRAs stacked on one of the two": (with_lora(1), both(with_lora(1), with_lora(2))),
    "weight wrapper": (plain, wrapped),
    "model sampling": (plain, zero_terminal_snr),
    "LoRA here, model sampling there": (zero_terminal_snr, with_lora(1)),
    "compute dtype": (plain, computed_in_double),
    "nothing but a CFG function": (plain, lambda model: RescaleCFG().patch(model, 0.7)[0]),
}


def flows(pivot_model, forward_model):
    """A pivot and a forward flow and the log of their calls."""
    logged, log = call_log()
    return (
        logged_flow(logged, "pivot", pivot_model, PIVOT_MEAN),
        logged_flow(logged, "forward", forward_model, FORWARD_MEAN),
        log,
    )


def weights(model):
    return {key: weight.clone() for key, weight in model.model.diffusion_model.state_dict().items()}


@pytest.fixture
def loads(monkeypatch):
    """The number of times that any MODEL's weights were put in place."""
    count = []
    load = ModelPatcher.load
    monkeypatch.setattr(ModelPatcher, "load", lambda self, *a, **k: count.append(self) or load(self, *a, **k))
    return count


@pytest.mark.parametrize("forward_scale", [1.0, 0.5])
@pytest.mark.parametrize("difference", DIFFERENCES)
class TestSharedWeights:
    """References: each flow's MODEL made from weights of its own, that nobody else patches, and asked alone."""

    def test_every_call_is_that_of_the_flow_alone(self, difference, forward_scale):
        patch_pivot, patch_forward = DIFFERENCES[difference]
        model = weighted_model()
        pivot, forward, log = flows(patch_pivot(model), patch_forward(model))
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        log.clear()
        sample(triple_flow(pivot, forward, forward_scale=forward_scale), bimd(residual_noise), sigmas, noisy)
        asked = list(log)

        alone = flows(patch_pivot(weighted_model()), patch_forward(weighted_model()))
        for flow, name, calls in zip(alone, ("pivot", "forward"), (10 if forward_scale == 1 else 20, 10), strict=False):
            denoised = [answer for who, _, _, answer in asked if who == name]
            assert len(denoised) == calls
            for ours, reference in zip(denoised, asked_alone(flow, sigmas, asked, name), strict=True):
                assert torch.equal(ours, reference)

    def test_the_result_is_that_of_two_separate_models(self, difference, forward_scale):
        results = []
        for separate in (False, True):
            model = weighted_model()
            models = [patch(weighted_model() if separate else model) for patch in DIFFERENCES[difference]]
            pivot, forward, _ = flows(*models)
            sigmas = schedule(model)
            residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
            flow = triple_flow(pivot, forward, forward_scale=forward_scale)
            results.append(sample(flow, bimd(residual_noise), sigmas, noisy))
            assert (results[-1] - picture(batch=2)["samples"]).abs().max() > 0.01
        assert torch.equal(*results)

    def test_both_models_are_left_as_they_were(self, difference, forward_scale):
        """What either MODEL draws afterwards, and the weights once unloaded, are bit for bit what they were."""
        model = weighted_model()
        before = weights(model)
        pivot, forward, _ = flows(*(patch(model) for patch in DIFFERENCES[difference]))
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        drawn = [sample(flow, bimd(residual_noise), sigmas, noisy) for flow in (pivot, forward)]
        for _ in range(2):
            sample(triple_flow(pivot, forward, forward_scale=forward_scale), bimd(residual_noise), sigmas, noisy)
            (loaded,) = [m for m in comfy.model_management.loaded_models() if m.is_clone(model)]
            assert loaded in (pivot.model_patcher, forward.model_patcher)
            assert model.model.current_patcher is None
            assert model.model.current_weight_patches_uuid == loaded.patches_uuid
        again = [sample(flow, bimd(residual_noise), sigmas, noisy) for flow in (pivot, forward)]
        assert all(map(torch.equal, drawn, again))
        comfy.model_management.unload_all_models()
        assert all(map(torch.equal, before.values(), weights(model).values()))
        assert not model.backup and not model.object_patches_backup


@pytest.mark.parametrize(
    ("forward_scale", "start_step", "expected"),
    # Entering both takes two. Then: to the pivot flow, to the forward flow; at a blended step from one to the other.
    [(0.0, 0, 1), (1.0, 0, 2), (1.0, 10, 4), (0.5, 10, 13), (2.0, 19, 4)],
)
def test_the_weights_change_hands_once_a_run_or_once_a_blended_step(loads, forward_scale, start_step, expected):
    """As the node's help tells; with one LoRA on both sides they are put in place once."""
    model = weighted_model()
    for patch_pivot, times in ((plain, expected), (with_lora(1), 1)):
        pivot, forward, _ = flows(patch_pivot(model), with_lora(1)(model))
        if patch_pivot is not plain:
            forward.model_patcher = pivot.model_patcher.clone()
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        comfy.model_management.unload_all_models()
        loads.clear()
        flow = triple_flow(pivot, forward, forward_scale=forward_scale, start_step=start_step)
        sample(flow, bimd(residual_noise), sigmas, noisy)
        assert len(loads) == times


def test_the_host_is_asked_for_the_models_and_the_memory_that_it_asked_itself_for(monkeypatch):
    """Also for what the other flow needs beside its MODEL, which would be unloaded where memory is short."""
    model, asked = weighted_model(), []
    pivot, forward, _ = flows(model, with_lora(1)(model))
    for flow, mean in ((pivot, PIVOT_MEAN), (forward, FORWARD_MEAN)):
        flow.extra = weighted_model()
        flow.set_conds(*conds(mean, additional_models=[flow.extra]))
    pivot.model_patcher.model.memory_required = lambda shape, cond_shapes=None: float(torch.tensor(shape).prod())
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    load = comfy.model_management.load_models_gpu

    def record(models, memory_required=0, minimum_memory_required=None, **options):
        asked.append((list(models), memory_required, minimum_memory_required))
        load(models, memory_required=memory_required, minimum_memory_required=minimum_memory_required, **options)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", record)
    sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
    (pivots, *memory), (forwards, *same_memory), pivots_again, forwards_again = asked
    assert memory == same_memory == [2 * noisy["samples"].numel(), noisy["samples"].numel()]
    assert pivots == [pivot.model_patcher, pivot.extra] and forwards == [forward.model_patcher, forward.extra]
    assert pivots_again == ([*pivots, forward.extra], *memory)
    assert forwards_again == ([*forwards, pivot.extra], *memory)


def test_object_patches_change_hands_without_the_weights(loads):
    model = weighted_model()
    pivot, forward, _ = flows(model, zero_terminal_snr(model))
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    loads.clear()
    sample(triple_flow(pivot, forward, forward_scale=0.5), bimd(residual_noise), sigmas, noisy)
    assert not loads


def test_clones_with_the_same_weight_patches_change_hands_without_loading(loads):
    """An attention patch on one side is no reason to load: the host does when it enters the two, nobody afterwards."""
    model = with_lora(1)(weighted_model())
    patched = model.clone()
    patched.set_model_attn2_patch(lambda q, k, v, options: (q + 0.1, k, v))
    pivot, forward, log = flows(model, patched)
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    loads.clear()
    sample(triple_flow(pivot, forward, forward_scale=0.5), bimd(residual_noise), sigmas, noisy)
    assert not loads and len(log) == 21 + 20 + 10


@pytest.mark.parametrize("start_step", [0, 5])
def test_a_sampler_that_asks_for_the_model_sampling_gets_that_of_the_flow_that_acts_first(start_step):
    model = weighted_model()
    pivot, forward, _ = flows(model, zero_terminal_snr(model))
    found = []

    def ask(model, x, *args, **kwargs):
        found.append(model.inner_model.inner_model.model_sampling)
        return x

    sampler, noise = comfy.samplers.KSAMPLER(ask), RandomNoise.execute(1).result[0]
    sample(triple_flow(pivot, forward, start_step=start_step), sampler, schedule(model), picture(batch=2), noise)
    first = (pivot, forward)[start_step == 0]
    assert found == [first.model_patcher.get_model_object("model_sampling")]


def test_the_forward_flow_off_gives_the_picture_back():
    model = weighted_model()
    pivot, forward, _ = flows(with_lora(1)(model), with_lora(2)(model))
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    same = logged_flow(call_log()[0], "same", with_lora(1)(model), PIVOT_MEAN)
    for other, options in ((forward, {"forward_scale": 0.0}), (same, {"forward_scale": 0.5}), (same, {})):
        flow = triple_flow(pivot, other, **options)
        assert (sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


def injecting(model, name, injected, found):
    """Give a MODEL an injection, and note at each of its predictions what is injected then."""

    def note(args):
        found.append((name, *injected))
        return args["denoised"]

    inject, eject = (lambda _: injected.add(name)), (lambda _: injected.discard(name))
    model.set_injections(name, [PatcherInjection(inject=inject, eject=eject)])
    model.set_model_sampler_post_cfg_function(note)


def test_flows_nested_in_flows_each_have_their_weights_and_injections():
    """Three MODELs of one set of weights, a guider of two guiders as one flow: as with three separate models."""
    results, injected, found = [], set(), []
    for separate in (False, True):
        base = weighted_model()
        models = [patch(weighted_model() if separate else base) for patch in (with_lora(1), with_lora(2), with_lora(1))]
        if not separate:
            models[2] = models[0].clone()  # patched as the first: these two hand the loaded weights over
            for name, model in zip("ABC", models, strict=True):
                injecting(model, name, injected, found)
        first, second, third = (
            logged_flow(call_log()[0], "", model, mean) for model, mean in zip(models, (0.5, -1.0, 0.2), strict=True)
        )
        sigmas = schedule(base)
        residual_noise, noisy = invert(first, sigmas, picture(batch=2))
        found.clear()
        inner = triple_flow(third, second, start_step=12, forward_scale=0.7)
        for pair in ((first, inner), (inner, first)):
            flow = triple_flow(*pair, start_step=5, forward_scale=0.5)
            results.append(sample(flow, bimd(residual_noise), sigmas, noisy))
        if not separate:
            assert found == [(name, name) for name, *_ in found] and len(found) == 2 * (20 + 15 + 8)
            assert len(injected) == 1
    assert all(map(torch.equal, results[:2], results[2:]))


def test_an_interrupted_run_leaves_both_models_usable():
    model = weighted_model()
    pivot, forward, _ = flows(model, with_lora(1)(model))
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    flow = triple_flow(pivot, forward, forward_scale=0.5)
    good = [sample(f, bimd(residual_noise), sigmas, noisy) for f in (flow, pivot, forward)]
    zeros = torch.zeros_like(noisy["samples"])
    for last in (3, 14, 15):

        def fail(step, *_, last=last):
            if step == last:
                raise RuntimeError("interrupted")

        with pytest.raises(RuntimeError, match="interrupted"):
            flow.sample(zeros, noisy["samples"], bimd(residual_noise), sigmas, callback=fail)
        again = [sample(f, bimd(residual_noise), sigmas, noisy) for f in (flow, pivot, forward)]
        assert all(map(torch.equal, good, again))


@pytest.mark.parametrize("difference", ["LoRA on the forward flow", "another LoRA on each", "weight wrapper"])
def test_weights_that_are_patched_on_the_fly_change_hands_too(monkeypatch, difference):
    """Where memory is short the host keeps weights offloaded and applies LoRAs at each call (weight functions)."""
    partially_load, patched_on_the_fly = ModelPatcher.partially_load, []

    def load_almost_nothing(self, device_to, extra_memory=0, **options):
        loaded = partially_load(self, device_to, 0.1, **options)
        patched_on_the_fly.append(len(self.model.diffusion_model.mix.weight_function))
        return loaded

    monkeypatch.setattr(ModelPatcher, "partially_load", load_almost_nothing)
    results = []
    for separate in (False, True):
        model = weighted_model()
        models = [patch(weighted_model() if separate else model) for patch in DIFFERENCES[difference]]
        pivot, forward, _ = flows(*models)
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        flow = triple_flow(pivot, forward, forward_scale=0.5)
        results.append(sample(flow, bimd(residual_noise), sigmas, noisy))
        assert all(m.model.model_lowvram for m in models)
    assert torch.equal(*results)
    assert set(patched_on_the_fly) == ({1} if difference == "another LoRA on each" else {0, 1})


def test_a_control_net_of_both_flows_is_prepared_for_each_of_their_models():
    """A ControlNet keeps the model sampling that it was prepared with, a Control-LoRA the weights themselves."""

    class Control:
        """What the host asks of a ControlNet; its residuals are not looked at, only what it was prepared for."""

        previous_controlnet = extra_hooks = None
        multigpu_clones = {}
        prepared_for = None

        def pre_run(self, model, percent_to_timestep):
            self.prepared_for = (model.model_sampling, model.diffusion_model.mix.weight)

        def get_control(self, x, t, cond, *_):
            called_with.append((self.prepared_for[0], self.prepared_for[1].sum().item()))

        def get_models(self):
            return []

        get_extra_hooks = get_models

        def inference_memory_requirements(self, dtype):
            return 0

        def cleanup(self):
            self.prepared_for = None

    called_with, control = [], Control()
    model = weighted_model()
    models = zero_terminal_snr(model), with_lora(1)(model)
    pivot, forward, log = flows(*models)
    for flow, mean in ((pivot, PIVOT_MEAN), (forward, FORWARD_MEAN)):
        flow.set_conds(*conds(mean, control=control))
    sigmas = schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    log.clear(), called_with.clear()
    sample(triple_flow(pivot, forward, forward_scale=0.5), bimd(residual_noise), sigmas, noisy)
    expected = {}
    for name, patched in zip(("pivot", "forward"), models, strict=True):
        comfy.model_management.load_models_gpu([patched])
        expected[name] = (model.model.model_sampling, model.model.diffusion_model.mix.weight.sum().item())
    assert expected["pivot"] != expected["forward"]
    assert called_with == [expected[name] for name, *_ in log]
    assert control.prepared_for is None


def test_a_model_of_another_latent_format_is_refused():
    model = weighted_model()
    models = [
        ModelSamplingContinuousEDM().patch(model, kind, 120.0, 0.002)[0] for kind in ("edm", "edm_playground_v2.5")
    ]
    pivot, forward, _ = flows(*models)
    with pytest.raises(ValueError, match=r"^forward_flow: .* latent format \(SDXL_Playground_2_5\) .*\(SDXL\)"):
        triple_flow(pivot, forward)

"""The guider that nests two guiders, inside the host's own sampling, on stand-in models."""

import comfy.hooks
import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import pytest
import torch
from comfy.model_base import ModelType
from comfy.patcher_extension import PatcherInjection
from comfy_extras.nodes_custom_sampler import RandomNoise
from helpers.guiders import FORWARD, PIVOT, AskedGuider
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from standins.analytic import chaotic_model, conditioning, gaussian_model, guider


@pytest.mark.parametrize(
    ("forward_scale", "start_step", "pivot_calls", "forward_calls"),
    [(1.0, 10, 10, 40), (0.5, 20, 50, 30), (0.0, 10, 50, 0), (1.0, 50, 50, 0), (1.0, 0, 0, 50)],
)
def test_each_flow_is_asked_at_the_steps_where_it_counts_and_at_no_other(
    forward_scale, start_step, pivot_calls, forward_calls
):
    """50 calls for 50 steps at scale 1, 80 at scale 0.5 with MSS 20."""
    model = gaussian_model()
    pivot, forward, sigmas = AskedGuider(model, PIVOT), AskedGuider(model, FORWARD), schedule(model, 50)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    pivot.asked.clear()
    flow = triple_flow(pivot, forward, start_step=start_step, forward_scale=forward_scale)
    sample(flow, bimd(residual_noise), sigmas, noisy)
    assert (len(pivot.asked), len(forward.asked)) == (pivot_calls, forward_calls)


def test_forward_flow_off_gives_the_picture_back():
    model = chaotic_model(1)
    pivot, sigmas = guider(model, PIVOT), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    for options in ({"forward_scale": 0.0}, {"start_step": 20}):
        flow = triple_flow(pivot, guider(model, FORWARD), **options)
        assert (sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


@pytest.mark.parametrize("start_step", [3, 19])
def test_the_pivot_steps_before_the_starting_step_are_exact_when_nested(start_step):
    """Both guiders entered, forward flow equal to the pivot: the picture comes back to the last bits."""
    model = chaotic_model(2)
    pivot, sigmas = guider(model, PIVOT), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    for forward in (guider(model, PIVOT), guider(model.clone(), PIVOT)):
        flow = triple_flow(pivot, forward, start_step=start_step)
        assert (sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


def test_forward_scale_1_backward_scale_0_from_step_0_is_the_hosts_euler():
    model = chaotic_model(3)
    pivot, forward, sigmas = guider(model, PIVOT), guider(model, FORWARD), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    ours = sample(triple_flow(pivot, forward, start_step=0), bimd(residual_noise, backward_scale=0.0), sigmas, noisy)
    # Another start to the last bit would end elsewhere in this model, so euler starts at the very same tensor.
    start = residual_noise.anchors[-1]
    euler = comfy.samplers.KSAMPLER(lambda model, x, *args, **kwargs: comfy.samplers.k_diffusion_sampling.sample_euler(
        model, start, *args, **kwargs))  # fmt: skip
    assert torch.equal(ours, sample(forward, euler, sigmas, noisy))


def test_the_forward_flow_changes_the_picture():
    model = gaussian_model()
    pivot, sigmas = guider(model, PIVOT), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    forward = guider(model, FORWARD)
    drawn = []
    for scale in (0.5, 1.0, 2.0):
        flow = triple_flow(pivot, forward, start_step=18, forward_scale=scale)
        drawn.append((sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).mean())
    assert 0 > drawn[0] > drawn[1] > drawn[2]  # ever further towards the forward flow's lower mean


def test_with_a_stock_sampler_the_guider_is_a_delayed_forward_flow():
    """From fresh noise any sampler works: at MSS 0 the forward guider alone, beyond the end the pivot guider alone."""
    model = gaussian_model()
    pivot, forward, sigmas = guider(model, PIVOT), guider(model, FORWARD), schedule(model)
    noise, empty = RandomNoise.execute(7).result[0], {"samples": torch.zeros(1, 4, 8, 8)}
    for name in ("euler", "heun", "dpmpp_2m", "euler_ancestral", "dpmpp_2m_cfg_pp"):
        sampler = comfy.samplers.sampler_object(name)
        first, last = (sample(flow, sampler, sigmas, empty, noise) for flow in (forward, pivot))
        assert torch.equal(sample(triple_flow(pivot, forward, start_step=0), sampler, sigmas, empty, noise), first)
        assert torch.equal(sample(triple_flow(pivot, forward, start_step=20), sampler, sigmas, empty, noise), last)
        between = sample(triple_flow(pivot, forward, start_step=10), sampler, sigmas, empty, noise)
        assert not torch.equal(between, first) and not torch.equal(between, last)


@pytest.mark.parametrize("forward_scale", [1.0, 0.5])
def test_a_sampler_is_told_of_the_forward_flows_calls_once_that_flow_acts(forward_scale):
    """cfg_pp samplers listen to each call; at a blended step they must not hear now one flow and now the other."""
    model, told = gaussian_model(), []

    def listening(model, x, sigmas, extra_args, callback, disable):
        def hear(args):
            told.append(args["cond"][0]["cross_attn"][0, 0, 0].item())
            return args["denoised"]

        options = comfy.model_patcher.set_model_options_post_cfg_function(extra_args["model_options"].copy(), hear)
        extra_args = {**extra_args, "model_options": options}
        return comfy.samplers.k_diffusion_sampling.sample_euler(model, x, sigmas, extra_args, callback, disable)

    flow = triple_flow(guider(model, PIVOT), guider(model, FORWARD), start_step=5, forward_scale=forward_scale)
    noise = RandomNoise.execute(1).result[0]
    sample(flow, comfy.samplers.KSAMPLER(listening), schedule(model), picture(batch=2), noise)
    assert told == [PIVOT[0]] * 5 + [FORWARD[0]] * 15


def test_one_guider_may_serve_as_both_flows_and_in_a_nested_guider():
    model = chaotic_model(4)
    pivot, sigmas = guider(model, PIVOT), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    for flow in (triple_flow(pivot, pivot), triple_flow(pivot, triple_flow(pivot, pivot, start_step=15))):
        assert (sample(flow, bimd(residual_noise), sigmas, noisy) - picture(batch=2)["samples"]).abs().max() <= 1e-5


def test_a_noise_mask_limits_what_changes_and_may_change_with_the_steps():
    """As for stock samplers, a latent's noise_mask holds the rest, and DifferentialDiffusion's function is heard."""
    model = gaussian_model()
    pivot, forward, sigmas = guider(model, PIVOT), guider(model, FORWARD), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    noisy["noise_mask"] = torch.zeros(1, 8, 8)
    noisy["noise_mask"][:, :4] = 1
    result = sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
    unchanged = (result - picture(batch=2)["samples"]).abs().amax(dim=(0, 1, 3)) <= 1e-5
    assert unchanged.tolist() == [False] * 4 + [True] * 4

    heard = []
    masked = model.clone()
    masked.set_model_denoise_mask_function(lambda sigma, mask, extra_options: heard.append(sigma[0].item()) or mask)
    masked_flow = triple_flow(guider(masked, PIVOT), guider(masked, FORWARD))
    assert torch.equal(sample(masked_flow, bimd(residual_noise), sigmas, noisy), result)
    assert heard == sigmas[:-1].tolist()


def test_previews_come_once_a_step_and_show_the_denoised():
    model = gaussian_model()
    pivot, forward, sigmas = guider(model, PIVOT), guider(model, FORWARD), schedule(model)
    residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
    told = []
    zeros = torch.zeros_like(noisy["samples"])
    triple_flow(pivot, forward, start_step=5).sample(
        zeros, noisy["samples"], bimd(residual_noise), sigmas,
        callback=lambda step, denoised, x, total: told.append((step, total, denoised.std() < x.std())),
    )  # fmt: skip
    assert [t[:2] for t in told] == [(k, 20) for k in range(20)]
    assert all(shows_denoised for _, _, shows_denoised in told[:10])


class RecordingPatch(torch.nn.Module):
    """An attention patch that records where it was moved; as a module it moves in place."""

    def __init__(self):
        super().__init__()
        self.moves = []

    def to(self, *args, **kwargs):
        self.moves.append(args[0])
        return self

    @property
    def device(self):
        return next(move for move in reversed(self.moves) if isinstance(move, (str, torch.device)))


class TestClonedModels:
    """Two flows on clones of one MODEL: entering the second makes the host detach the first."""

    LOAD, OFFLOAD = torch.device("cpu"), torch.device("cpu", 0)  # told apart, and both are there on any machine

    def flow(self, model, mean_and_std, log, name):
        """A flow on a clone of `model` with a patch and an injection of its own; it logs how each call found them."""
        clone = model.clone()
        clone.load_device, clone.offload_device = self.LOAD, self.OFFLOAD
        patch = RecordingPatch()
        clone.set_model_attn2_patch(patch)
        injected = model.model.__dict__.setdefault("injected_by", set())
        clone.set_injections(
            name, [PatcherInjection(inject=lambda p: injected.add(name), eject=lambda p: injected.discard(name))]
        )

        class Flow(comfy.samplers.CFGGuider):
            def predict_noise(self, *args, **kwargs):
                log.append((name, set(injected), patch.device, self.inner_model.current_patcher is clone))
                return super().predict_noise(*args, **kwargs)

        flow = Flow(clone)
        flow.set_conds(conditioning(*mean_and_std), conditioning(0.0, 1.0))
        flow.set_cfg(5.0)
        return flow, patch

    @pytest.mark.parametrize("forward_scale", [1.0, 0.5])
    def test_each_flow_is_whole_when_called_and_left_as_the_host_expects(self, forward_scale):
        model, log = gaussian_model(), []
        pivot, pivot_patch = self.flow(model, PIVOT, log, "pivot")
        forward, forward_patch = self.flow(model, FORWARD, log, "forward")
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        log.clear()
        sample(triple_flow(pivot, forward, forward_scale=forward_scale), bimd(residual_noise), sigmas, noisy)

        assert {name for name, *_ in log} == {"pivot", "forward"}
        assert log == [(name, {name}, self.LOAD, True) for name, *_ in log]
        loaded = comfy.model_management.loaded_models()
        assert forward.model_patcher in loaded and pivot.model_patcher not in loaded
        assert model.model.injected_by == {"forward"} and forward.model_patcher.is_injected
        assert not pivot.model_patcher.is_injected
        assert (pivot_patch.device.index, forward_patch.device.index) == (self.OFFLOAD.index, self.LOAD.index)
        assert model.model.current_patcher is None

    def test_a_patch_that_both_clones_hold_is_where_the_loaded_one_needs_it(self):
        model, log = gaussian_model(), []
        pivot, pivot_patch = self.flow(model, PIVOT, log, "pivot")
        forward, _ = self.flow(model, FORWARD, log, "forward")
        forward.model_patcher.set_model_attn2_patch(pivot_patch)
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        log.clear()
        sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
        assert {device for *_, device, _ in log} == {self.LOAD}
        assert pivot_patch.device.index == self.LOAD.index

    def test_the_result_is_that_of_one_shared_model(self):
        model, log = gaussian_model(), []
        pivot, _ = self.flow(model, PIVOT, log, "pivot")
        forward, _ = self.flow(model, FORWARD, log, "forward")
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        cloned = sample(triple_flow(pivot, forward), bimd(residual_noise), sigmas, noisy)
        plain_pivot, plain_forward = guider(model, PIVOT), guider(model, FORWARD)
        residual_noise, noisy = invert(plain_pivot, sigmas, picture(batch=2))
        shared = sample(triple_flow(plain_pivot, plain_forward), bimd(residual_noise), sigmas, noisy)
        assert torch.equal(cloned, shared)

    def test_a_failure_midway_leaves_both_flows_usable(self):
        model, log = gaussian_model(), []
        pivot, _ = self.flow(model, PIVOT, log, "pivot")
        forward, _ = self.flow(model, FORWARD, log, "forward")
        sigmas = schedule(model)
        residual_noise, noisy = invert(pivot, sigmas, picture(batch=2))
        flow = triple_flow(pivot, forward)
        good = sample(flow, bimd(residual_noise), sigmas, noisy)

        def fail(step, *_):
            if step == 15:
                raise RuntimeError("interrupted")

        with pytest.raises(RuntimeError, match="interrupted"):
            flow.sample(
                torch.zeros_like(noisy["samples"]), noisy["samples"], bimd(residual_noise), sigmas, callback=fail
            )
        assert torch.equal(sample(flow, bimd(residual_noise), sigmas, noisy), good)


@pytest.mark.parametrize("crowded_out", ["its own", "a ControlNet's", "a patch's"])
@pytest.mark.parametrize("cloned", [False, True])
def test_a_model_that_the_other_flow_crowded_out_is_loaded_again(crowded_out, cloned):
    """What the host unloads to make room for one flow's MODEL is there when the other flow is called."""
    model, extra = gaussian_model(), gaussian_model()
    other = model.clone() if cloned else gaussian_model()
    sigmas, log = schedule(model), []

    class Crowding(comfy.samplers.CFGGuider):
        def outer_sample(self, *args, **kwargs):
            comfy.model_management.unload_model_and_clones(model if crowded_out == "its own" else extra)
            return super().outer_sample(*args, **kwargs)

    class Watched(comfy.samplers.CFGGuider):
        def predict_noise(self, *args, **kwargs):
            loaded = comfy.model_management.loaded_models()
            log.append((any(model.is_clone(one) for one in loaded), extra in loaded))
            return super().predict_noise(*args, **kwargs)

    class Adapter:
        def models(self):
            return [extra]

    if crowded_out == "a patch's":
        model.set_model_attn2_patch(Adapter())
    options = {} if crowded_out == "a patch's" else {"additional_models": [extra]}
    flows = [Watched(model), Crowding(other)]
    flows[0].set_conds(conditioning(*PIVOT, **options), conditioning(0.0, 1.0))
    flows[1].set_conds(conditioning(*FORWARD), conditioning(0.0, 1.0))
    for flow in flows:
        flow.set_cfg(5.0)
    residual_noise, noisy = invert(flows[0], sigmas, picture(batch=2))
    log.clear()
    sample(triple_flow(*flows), bimd(residual_noise), sigmas, noisy)
    assert log == [(True, True)] * 10


class TestBadInput:
    """Each error names the input and what to do."""

    def test_flows_of_different_model_kinds_are_refused(self):
        with pytest.raises(ValueError, match=r"^forward_flow: its MODEL is of another kind .*CONST.* EPS"):
            triple_flow(guider(gaussian_model()), guider(gaussian_model(ModelType.FLOW)))

    def test_sigmas_without_a_step_are_refused(self):
        flow = triple_flow(guider(gaussian_model()), guider(gaussian_model()))
        with pytest.raises(ValueError, match=r"^sigmas: 0 values make no step"):
            sample(flow, comfy.samplers.sampler_object("euler"), torch.tensor([]), picture(batch=2))

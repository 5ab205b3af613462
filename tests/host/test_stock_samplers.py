"""Which samplers may start from an inverted latent: tried on a small model, held against what they do in the host."""

import random

import comfy.model_management
import comfy.samplers
import comfy_extras.nodes_advanced_samplers as advanced
import comfy_extras.nodes_custom_sampler as custom
import numpy
import pytest
import torch
from comfy.model_base import ModelType
from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM, ModelSamplingDiscrete
from customenhancer.host.stock_samplers import check_sampler
from customenhancer.nodes.inversion import DDIMInversionNode
from helpers.guiders import FORWARD, PIVOT
from helpers.sampling import SCALE, picture, sample, schedule, triple_flow
from standins.analytic import gaussian_model, guider

# What each of the host's samplers does: read from its code, and held against it below.
LEADS_BACK = {"euler", "ddim", "lms", "dpmpp_2m", "ipndm", "ipndm_v", "deis", "res_multistep", "gradient_estimation"}
LEADS_BACK |= {"uni_pc", "uni_pc_bh2"}
ADDS_NOISE = {"euler_ancestral", "euler_ancestral_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun"}
ADDS_NOISE |= {"dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "res_multistep_ancestral"}
ADDS_NOISE |= {"res_multistep_ancestral_cfg_pp", "er_sde", "sa_solver"}
GOES_BY_THE_UNGUIDED = {"euler_cfg_pp", "dpmpp_2m_cfg_pp", "res_multistep_cfg_pp", "gradient_estimation_cfg_pp"}
ASKS_ELSEWHERE = {"heun", "heunpp2", "exp_heun_2_x0", "exp_heun_2_x0_sde", "dpm_2", "dpm_2_ancestral", "dpm_fast"}
ASKS_ELSEWHERE |= {"dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu"}
ASKS_ELSEWHERE |= {"seeds_2", "seeds_3", "sa_solver_pece"}
SAYS = {
    "is stochastic: it adds noise of its own": ADDS_NOISE,
    "goes by the prediction without guidance, as cfg_pp samplers do": GOES_BY_THE_UNGUIDED,
    "asks the model other than once at each step of the schedule": ASKS_ELSEWHERE,
}
MODELS = {
    "EPS": gaussian_model,
    "FLOW": lambda: gaussian_model(ModelType.FLOW),
    "zero terminal SNR": lambda: ModelSamplingDiscrete().patch(gaussian_model(), "v_prediction", True)[0],
    "EDM": lambda: ModelSamplingContinuousEDM().patch(gaussian_model(), "edm", 120.0, 0.002)[0],
}


def fault(sampler, sigmas, model):
    """What check_sampler says of a sampler without the remedy; None if it passes."""
    if isinstance(sampler, str):
        sampler = comfy.samplers.sampler_object(sampler)
    try:
        check_sampler(sampler, torch.zeros(2, 4, 16, 16), sigmas, model)
    except ValueError as error:
        said, remedy = str(error).rsplit(". ", 1)
        assert said.startswith("sampler: ") and remedy == "Connect BiMD Sampler, or a sampler such as euler."
        return said
    return None


def test_the_table_names_every_sampler_of_the_host_once():
    names = [*LEADS_BACK, *ADDS_NOISE, *GOES_BY_THE_UNGUIDED, *ASKS_ELSEWHERE]
    assert sorted(names) == sorted(comfy.samplers.SAMPLER_NAMES)


@pytest.mark.parametrize("name", comfy.samplers.SAMPLER_NAMES)
class TestHostsSamplers:
    def test_the_table_is_right(self, name):
        """From an exactly inverted picture on: who comes back to it, asked what, under another seed alike or not."""
        model, asked = gaussian_model(), []

        class Watched(comfy.samplers.CFGGuider):
            def predict_noise(self, x, timestep, *args, **kwargs):
                asked.append(timestep[0].item())
                return super().predict_noise(x, timestep, *args, **kwargs)

        flow = guider(model, PIVOT, FORWARD, cfg=2.0)
        flow.__class__ = Watched
        sigmas, latent = schedule(model, 100), picture()
        noisy = DDIMInversionNode.execute(flow, sigmas, latent, pivot_guidance="guided").result[1]["samples"]
        asked.clear()
        sampler = comfy.samplers.sampler_object(name)
        with torch.random.fork_rng():
            one, two = (
                flow.sample(torch.zeros_like(noisy), noisy, sampler, sigmas.clone(), seed=seed) for seed in (1, 2)
            )
        error = (one - latent["samples"]).abs().max().item() * SCALE
        assert (asked == 2 * sigmas[:-1].tolist()) == (name not in ASKS_ELSEWHERE)
        if name in LEADS_BACK:
            assert torch.equal(one, two) and error < 0.2
        elif name in ADDS_NOISE:
            assert not torch.equal(one, two) and error > 0.3
        elif name in GOES_BY_THE_UNGUIDED:
            assert torch.equal(one, two) and error > 0.3

    @pytest.mark.parametrize("kind", MODELS)
    def test_it_is_told_apart_without_its_name(self, name, kind):
        """On whole schedules and parts, and where there are so few steps that all samplers take the same."""
        model = MODELS[kind]()
        parts = [(20, slice(None)), (20, slice(5, None)), (12, slice(0, 11)), (3, slice(None)), (1, slice(None))]
        if name == "sa_solver":  # which adds noise between 20 and 80 percent of a model's sigmas only
            parts = parts[:1]
        for steps, part in parts:
            said = fault(name, schedule(model, steps, "karras")[part], model)
            if name in LEADS_BACK:
                assert said is None
            elif kind == "EPS" and steps == 20:
                assert any(reason in said and name in names for reason, names in SAYS.items())
            else:  # another reason may come first: some move the first sigma of a flow model
                assert said is not None

    def test_the_triple_flow_guider_asks(self, name):
        model = gaussian_model()
        flow = triple_flow(guider(model, PIVOT), guider(model, FORWARD))
        sampler, sigmas = comfy.samplers.sampler_object(name), schedule(model)
        if name in LEADS_BACK:
            sample(flow, sampler, sigmas.clone(), picture())
        else:
            with pytest.raises(ValueError, match=r"^sampler: .* Connect BiMD Sampler"):
                sample(flow, sampler, sigmas, picture())
            with torch.random.fork_rng():
                sample(flow, sampler, sigmas, picture(), custom.RandomNoise.execute(1).result[0])


def euler_step(x, denoised, sigma, following):
    return x + (x - denoised) / sigma * (following - sigma)


def plain(model, x, sigmas, extra_args, callback, disable):
    for k in range(len(sigmas) - 1):
        denoised = model(x, sigmas[k] * x.new_ones(len(x)), **extra_args)
        callback({"i": k, "denoised": denoised, "x": x, "sigma": sigmas[k], "sigma_hat": sigmas[k]})
        x = euler_step(x, denoised, sigmas[k], sigmas[k + 1])
    return x


def with_noise_from(draw):
    """A sampler that adds noise after each step but the last."""

    def noisy(model, x, sigmas, extra_args, callback, disable):
        for k in range(len(sigmas) - 1):
            x = plain(model, x, sigmas[k : k + 2], extra_args, callback, disable)
            if sigmas[k + 1] > 0:
                x = x + 0.5 * sigmas[k + 1] * draw(x.shape)
        return x

    return noisy


def plus_plus(model, x, sigmas, extra_args, callback, disable):
    """CFG++ with a history of two, by a name that does not tell."""
    unguided, earlier = [], None

    def hear(args):
        unguided.append(args["uncond_denoised"])
        return args["denoised"]

    options = comfy.model_patcher.set_model_options_post_cfg_function(
        extra_args["model_options"], hear, disable_cfg1_optimization=True
    )
    for k in range(len(sigmas) - 1):
        denoised = model(x, sigmas[k] * x.new_ones(len(x)), **{**extra_args, "model_options": options})
        direction = (x - unguided.pop()) / sigmas[k]
        mixed = direction if earlier is None else 1.5 * direction - 0.5 * earlier
        x, earlier = denoised + mixed * sigmas[k + 1], direction
    return x


def listening_in_vain(model, x, sigmas, extra_args, callback, disable):
    options = comfy.model_patcher.set_model_options_post_cfg_function(
        extra_args["model_options"], lambda args: args["denoised"], disable_cfg1_optimization=True
    )
    return plain(model, x, sigmas, {**extra_args, "model_options": options}, callback, disable)


def skipping(model, x, sigmas, extra_args, callback, disable):
    return plain(model, x, torch.cat([sigmas[:3], sigmas[4:]]), extra_args, callback, disable)


def stopping_early(model, x, sigmas, extra_args, callback, disable):
    return plain(model, x, sigmas[:-1], extra_args, callback, disable)


def asking_twice(model, x, sigmas, extra_args, callback, disable):
    model(x, sigmas[0] * x.new_ones(len(x)), **extra_args)
    return plain(model, x, sigmas, extra_args, callback, disable)


def asking_nothing(model, x, sigmas, extra_args, callback, disable):
    return x


def brightening(model, x, sigmas, extra_args, callback, disable):
    return 1.2 * plain(model, x, sigmas, extra_args, callback, disable) + 0.5


def writing_into_sigmas(model, x, sigmas, extra_args, callback, disable):
    result = plain(model, x, sigmas, extra_args, callback, disable)
    sigmas[-1] = 0.5
    return result


def cropping(model, x, sigmas, extra_args, callback, disable):
    return plain(model, x, sigmas, extra_args, callback, disable)[..., :4]


def looking_into_the_network(model, x, sigmas, extra_args, callback, disable):
    model.inner_model.inner_model.diffusion_model.eval()
    return plain(model, x, sigmas, extra_args, callback, disable)


def always_the_same(shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


OTHERS = {
    "nothing unusual": (plain, None),
    "hears and changes nothing": (listening_in_vain, None),
    "writes into its sigmas": (writing_into_sigmas, None),
    "CFG++ with history": (plus_plus, "plus_plus goes by the prediction without guidance"),
    "torch's noise": (with_noise_from(torch.randn), "noisy is stochastic"),
    "numpy's noise": (with_noise_from(lambda shape: torch.tensor(numpy.random.randn(*shape)).float()), "is stochastic"),
    "Python's noise": (with_noise_from(lambda shape: torch.full(shape, random.gauss(0, 1))), "is stochastic"),
    "noise of a fixed seed": (with_noise_from(always_the_same), "noisy does not take the steps"),
    "leaves a step out": (skipping, "skipping asks the model other than once"),
    "stops early": (stopping_early, "stopping_early asks the model other than once"),
    "asks twice": (asking_twice, "asking_twice asks the model other than once"),
    "asks nothing": (asking_nothing, "asking_nothing asks the model other than once"),
    "changes the picture": (brightening, "brightening does not take the steps that the model predicts"),
    "changes its size": (cropping, "cropping "),
    "wants a network": (looking_into_the_network, "network could not be tried on a small model (AttributeError)"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_samplers_that_nobody_has_written_yet_are_told_apart_too(what):
    function, says = OTHERS[what]
    model = gaussian_model()
    said = fault(comfy.samplers.KSAMPLER(function), schedule(model), model)
    assert said is None if says is None else says in said


CONFIGURED = {
    "ancestral, eta 0": (lambda: custom.SamplerEulerAncestral.execute(0.0, 1.0), True),
    "ancestral, eta 0.1": (lambda: custom.SamplerEulerAncestral.execute(0.1, 1.0), False),
    "2M SDE, eta 0": (lambda: custom.SamplerDPMPP_2M_SDE.execute("midpoint", 0.0, 1.0, "cpu"), True),
    "2M SDE, eta 1": (lambda: custom.SamplerDPMPP_2M_SDE.execute("midpoint", 1.0, 1.0, "cpu"), False),
    "euler with churn": (
        lambda: ({"result": comfy.samplers.ksampler("euler", {"s_churn": 5.0})}["result"],),
        False,
    ),
    "LCM upscaling": (lambda: advanced.SamplerLCMUpscale.execute(2.0, 2, "bislerp"), False),
    "Euler CFG++": (lambda: advanced.SamplerEulerCFGpp.execute("regular"), False),
}


@pytest.mark.parametrize("what", CONFIGURED)
def test_what_counts_is_what_a_sampler_does_with_its_options(what):
    make, fit = CONFIGURED[what]
    (sampler,) = getattr(make(), "result", None) or make()
    model = gaussian_model()
    assert (fault(sampler, schedule(model), model) is None) == fit


def test_a_trial_changes_no_random_state_and_no_sigmas():
    model = gaussian_model()
    sigmas = schedule(model)
    kept = sigmas.clone()
    drawing = [*OTHERS.values(), *((name, None) for name in ("euler_ancestral", "dpmpp_sde", "uni_pc", "sa_solver"))]

    def states():
        return torch.random.get_rng_state().tolist(), random.getstate(), numpy.random.get_state()[1].tolist()

    before = states()
    for sampler, _ in drawing:
        fault(sampler if isinstance(sampler, str) else comfy.samplers.KSAMPLER(sampler), sigmas, model)
    assert states() == before and torch.equal(sigmas, kept)


def test_an_interrupt_in_a_trial_is_one():
    def interrupted(*args, **kwargs):
        raise comfy.model_management.InterruptProcessingException

    model = gaussian_model()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        fault(comfy.samplers.KSAMPLER(interrupted), schedule(model), model)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (3, 16, 1, 128), (1, 16, 5, 16, 16), (2, 64, 300)])
def test_latents_of_any_shape_are_stood_for(shape):
    model = gaussian_model()
    for name, fit in (("dpmpp_2m", True), ("euler_ancestral", False)):
        try:
            check_sampler(comfy.samplers.sampler_object(name), torch.zeros(shape), schedule(model), model)
        except ValueError as error:
            assert not fit and "is stochastic" in str(error)
        else:
            assert fit

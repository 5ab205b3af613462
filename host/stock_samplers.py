"""Which samplers can sample from an inverted picture: those that lead back on a model where that is exact."""

import random
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import comfy.model_management
import comfy.samplers
import numpy
import torch
from torch import Tensor

REMEDY = "Connect BiMD Sampler, or a sampler such as euler."


def check_sampler(sampler, noise: Tensor, sigmas: Tensor, model_patcher) -> None:
    """Refuse a sampler that cannot follow an inverted latent, where sampling starts from one: without noise.

    Names tell too little of what a sampler does, so it is tried, on the CPU and on a few numbers: on a model that
    predicts the same noise everywhere, inversion and sampling are exact, whatever the order of the steps. A sampler is
    refused unless it leads back to the picture and asks the model once at each of the schedule's sigmas. That
    refuses samplers that add noise, ask between the steps, or go by the unguided prediction (CFG++), and those that
    want more of a model than any sampler of the host's. From an inverted latent they lose the picture without a word.

    sampler: a SAMPLER; checked are the host's KSAMPLERs, around whatever function. noise: (B, C, ...), what the graph's
    NOISE gave, all zero where sampling starts at a latent; any sampler may sample from fresh noise. sigmas: (N + 1,),
    finite. model_patcher: the MODEL whose model sampling a sampler may ask for. Raises ValueError.
    """
    if not isinstance(sampler, comfy.samplers.KSAMPLER) or noise.is_nested or noise.count_nonzero() > 0:
        return
    sigmas = sigmas.cpu().float().unique().flip(0)
    if len(sigmas) < 2:  # no step is taken
        return
    name = getattr(sampler.sampler_function, "__name__", "this one")  # a partial has none
    try:
        with _random_state_kept():
            fault = _fault(sampler, noise.shape, _trial_schedule(sigmas), model_patcher)
    except comfy.model_management.InterruptProcessingException:
        raise
    except Exception as error:
        raise ValueError(
            f"sampler: {name} could not be tried on a small model ({type(error).__name__}), so whether it can follow "
            f"an inverted picture is not known. {REMEDY}"
        ) from error
    if fault:
        raise ValueError(f"sampler: {name} {fault}, so it cannot follow an inverted picture. {REMEDY}")


def _fault(sampler, shape, sigmas: Tensor, model_patcher) -> str | None:
    """What is wrong with a sampler, on a descending schedule; None if nothing is."""
    trial = partial(_sample, sampler, (1, shape[1], *(min(size, 8) for size in shape[2:])), sigmas, model_patcher)
    scale = 1 + sigmas[0].item()
    try:
        result, expected = trial(guided=True, seed=0)
    except _AskedElsewhereError:
        return "asks the model other than once at each step of the schedule"
    # With other random numbers and another prediction without guidance it comes to the same, but for rounding.
    if not _close(result, trial(guided=False, seed=1)[0], 1e-3 * scale):
        if _close(result, trial(guided=True, seed=1)[0], 1e-3 * scale):
            return "goes by the prediction without guidance, as cfg_pp samplers do"
        return "is stochastic: it adds noise of its own"
    # The coefficients of ipndm_v are half a percent off.
    return None if _close(result, expected, 2e-2 * scale) else "does not take the steps that the model predicts"


def _sample(sampler, shape, sigmas: Tensor, model_patcher, guided: bool, seed: int) -> tuple[Tensor, Tensor]:
    """The picture that a sampler comes to and the one that was inverted, both of the shape."""
    model = _StraightModel(shape, sigmas.tolist(), model_patcher, guided)
    result = sampler.sampler_function(
        model,
        model.latent(sigmas[0]),
        sigmas.clone(),  # some write into it
        extra_args={"model_options": {"transformer_options": {"sample_sigmas": sigmas}}, "seed": seed},
        callback=lambda *_: None,
        disable=True,
        **sampler.extra_options,
    )
    model.check_asked_to_the_end()
    return result, model.latent(sigmas[-1])


def _close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    return one.shape == other.shape and bool(((one - other).abs() <= tolerance).all())


def _trial_schedule(sigmas: Tensor, least: int = 8) -> Tensor:
    """A schedule, descending, (N + 1,), its steps divided if it has few: in a single one all samplers are alike."""
    steps = len(sigmas) - 1
    parts = steps * -(-least // steps)
    places = numpy.linspace(0, steps, parts + 1)
    return (
        torch.tensor(numpy.interp(places, range(len(sigmas)), sigmas), dtype=torch.float32) if parts > steps else sigmas
    )


class _AskedElsewhereError(Exception):
    """A sampler asked the model at another sigma than the schedule's next."""


class _StraightModel:
    """A model as samplers see it, that predicts one and the same noise for any latent, and another without guidance.

    Its latents lie on straight lines: latent(sigma) = picture + sigma * noise.
    """

    def __init__(self, shape, sigmas: list[float], model_patcher, guided: bool):
        count = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
        self._picture, self._noise = count.cos(), (2.0 * count).sin()
        self._unguided_noise = (3.0 * count).cos() if guided else self._noise
        self._sigmas, self._asked = sigmas, 0
        model_sampling = model_patcher.get_model_object("model_sampling")
        self.inner_model = SimpleNamespace(
            model_patcher=model_patcher, inner_model=SimpleNamespace(model_sampling=model_sampling)
        )

    def latent(self, sigma: Tensor) -> Tensor:
        return self._picture + sigma * self._noise

    def check_asked_to_the_end(self) -> None:
        if self._asked != len(self._sigmas) - 1:
            raise _AskedElsewhereError

    def __call__(self, x: Tensor, sigma: Tensor, model_options=None, seed=None, **kwargs) -> Tensor:
        expected = self._sigmas[self._asked] if self._asked < len(self._sigmas) - 1 else None
        if expected is None or abs(sigma.max().item() - expected) > 1e-5 * expected:
            raise _AskedElsewhereError
        self._asked += 1
        sigma = sigma.reshape(-1, *[1] * (x.ndim - 1))
        # At this guidance the two predictions come to self._noise.
        guidance, prompted_noise = 2.0, (self._noise + self._unguided_noise) / 2
        return comfy.samplers.cfg_function(
            self.inner_model.inner_model,
            x - sigma * prompted_noise,
            x - sigma * self._unguided_noise,
            guidance,
            x,
            sigma.flatten(),
            model_options or {},
            cond=[],
            uncond=[],
        )


@contextmanager
def _random_state_kept():
    """Leave every global source of random numbers on the CPU as it was."""
    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)

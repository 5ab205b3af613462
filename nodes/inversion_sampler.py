"""The SAMPLER with which the inversion nodes run inside a guider's own sampling, and the guidance of the pivot."""

from collections.abc import Callable

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..resinversion import Pivot
from .checks import check_recording
from .control_family import check_control_family


class ConditionalPivot:
    """Reads the conditional prediction off each guided call of a guider, at no further cost.

    The pivot is to move unguided (the convention of null-text inversion and Direct Inversion: a guided pivot runs
    away), while the residual noise needs the guided prediction. The host hands both over in one call.
    """

    def __init__(self):
        self._missed = False
        self._positive = None
        self._cond_denoised = []

    def listen(self, guider, extra_args: dict) -> dict:
        """Sampler extra_args that let this object see each call of the entered guider; those given are not changed."""
        self._positive = getattr(guider, "conds", {}).get("positive")
        model_options = comfy.model_patcher.set_model_options_post_cfg_function(
            extra_args["model_options"].copy(), self._post_cfg
        )
        return {**extra_args, "model_options": model_options}

    def _post_cfg(self, args: dict) -> Tensor:
        # A guider of more than two conditionings may hand over the prediction of another than the positive one.
        if args["cond"] is self._positive:
            self._cond_denoised = [*self._cond_denoised[:1], args["cond_denoised"]]
        return args["denoised"]

    def __call__(self, denoised: Tensor) -> Tensor:
        """The positive part of the call that gave `denoised`, or `denoised` itself where the guider tells none."""
        heard, self._cond_denoised = self._cond_denoised, []
        if len(heard) == 1:
            return heard[0]
        self._missed = True
        return denoised

    def warning(self) -> str | None:
        """What to tell the user if the pivot had to be guided, else None."""
        if not self._missed:
            return None
        return "This guider does not tell its positive prediction apart, so the pivot is guided."


class InversionSampler(comfy.samplers.Sampler):
    """Runs one function of `resinversion` as the sampling of a guider, and keeps what it recorded in `recording`.

    invert: (model, x, sigmas, extra_args, callback, device) -> Pivot or a kind of it.
    model_calls: how many calls of the callback the function makes, at most, for the progress bar.

    A KSAMPLER would divide by 1 - sigma at the noisy end, which for a flow-prediction model is zero.
    """

    def __init__(self, invert: Callable[..., Pivot], model_calls: int):
        self.invert = invert
        self.model_calls = model_calls
        self.recording = None

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Invert latent_image (B, C, H, W) along ascending sigmas; returns x*_N in the host's inverse noise scaling."""
        with tqdm(total=self.model_calls, disable=disable_pbar) as progress:

            def on_call(call: dict) -> None:
                progress.update(call["i"] + 1 - progress.n)
                callback(call["i"], call["denoised"], call["x"], self.model_calls)

            device = comfy.model_management.intermediate_device()
            self.recording = self.invert(model_wrap, latent_image, sigmas, extra_args, on_call, device)
        noisy = self.recording.anchors[-1].to(latent_image)
        return noisy_latent(model_wrap.inner_model.model_sampling, sigmas[-1], noisy)


def noisy_latent(model_sampling, sigma: Tensor, noisy: Tensor) -> Tensor:
    """The noisy end of a pivot in the host's inverse noise scaling, as samplers give and take it: (B, C, H, W)."""
    rescaled = model_sampling.inverse_noise_scaling(sigma, noisy)
    # Flow models reach sigma = 1, where the host's scaling divides by zero: there is no picture left to rescale.
    return rescaled if torch.isfinite(rescaled).all() else noisy


def run_inversion(
    guider, latent_image: Tensor, sigmas: Tensor, sampler: InversionSampler, from_guider: bool = True
) -> Tensor:
    """Run an inversion inside the guider's own `sample`, with the host's preview and progress. Returns x*_N.

    latent_image: (B, C, H, W) in the host's latent space. sigmas: (N + 1,), ascending. from_guider: whether the node
    has an input guider, for messages, rather than the inputs model, positive and negative that the guider is made of.
    Raises ValueError where the guider's model predicts NaN or Inf, or a control module does not suit it.
    """
    check_control_family(guider, "guider" if from_guider else None)
    callback = latent_preview.prepare_callback(guider.model_patcher, sampler.model_calls)
    noisy = guider.sample(
        torch.zeros_like(latent_image),
        latent_image,
        sampler,
        sigmas,
        callback=callback,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=0,
    )
    check_recording(sampler.recording.anchors, "guider: its model" if from_guider else "model: it")
    return noisy.to(comfy.model_management.intermediate_device())

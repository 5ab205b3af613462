"""Entered guiders: a guider is entered while its own `sample` runs, its models loaded and its conditioning encoded."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from .sampling_errors import sampled


@dataclass(frozen=True)
class EnteredGuider:
    """What a guider hands to its sampler once its models are loaded: the arguments of the host's `Sampler.sample`.

    model: the guider itself as samplers call it, `model(x, sigma, **extra_args) -> denoised`, with x and denoised
        (B, C, H, W) and sigma (B,); it has `model_patcher` and `inner_model`.
    sigmas: (N + 1,). noise, latent_image: (B, C, H, W), latent_image in the model's space. denoise_mask: as the host
    prepares it, or None. callback: (step, denoised, x, total), or None. extra_args: model_options and seed.
    """

    model: Callable[..., Tensor]
    sigmas: Tensor
    extra_args: dict
    callback: Callable | None
    noise: Tensor
    latent_image: Tensor | None = None
    denoise_mask: Tensor | None = None
    disable_pbar: bool = False

    def predict(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoised (B, C, H, W) of x at sigma (B,): the guider's answer to a sampler."""
        return self.model(x, sigma, **self.extra_args)

    def sample(self, sampler) -> Tensor:
        """Let another SAMPLER sample in this guider: (B, C, H, W)."""
        return sampler.sample(
            self.model,
            self.sigmas.clone(),  # the host's uni_pc writes into what it gets, which is a cached output on a CPU
            self.extra_args,
            self.callback,
            self.noise,
            self.latent_image,
            self.denoise_mask,
            self.disable_pbar,
        )

    def watched(self, on_call: Callable[[Tensor, Tensor, Tensor], None]) -> "EnteredGuider":
        """The same, with on_call(x, sigma, denoised) called after each call of the guider."""
        return replace(self, model=WatchedGuider(self.model, on_call))


class SamplerFunction(comfy.samplers.Sampler):
    """A SAMPLER made from a function of the entered guider.

    run: EnteredGuider -> (result, samples), samples being what a sampler returns, (B, C, H, W). `result` is kept in the
    attribute of that name once a guider has sampled.
    """

    def __init__(self, run: Callable[[EnteredGuider], tuple]):
        self._run = run
        self.result = None

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Run the function in the guider that has been entered, and return its samples."""
        self.result, samples = self._run(
            EnteredGuider(model_wrap, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar)
        )
        return samples


def sample_from(
    guider, latent_image: Tensor, sampler, sigmas: Tensor, callback: Callable | None, source: str = "guider"
) -> Tensor:
    """Sample in a GUIDER with no noise added: (B, C, H, W) in the host's latent space, as latent_image is.

    sigmas: (N + 1,). callback: of `latent_preview.prepare_callback`. source: the input that the guider, or its model,
    came from, for the message where it fails: see `sampled`.
    """
    with sampled(source):
        samples = guider.sample(
            torch.zeros_like(latent_image),
            latent_image,
            sampler,
            sigmas,
            callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=0,
        )
    return samples.to(comfy.model_management.intermediate_device())


class GuiderProxy:
    """Stands for an entered guider where samplers and the host look at its attributes. Subclasses answer its calls."""

    def __init__(self, guider):
        self._guider = guider

    def __getattr__(self, name):
        return getattr(self._guider, name)


class WatchedGuider(GuiderProxy):
    """An entered guider that tells on_call(x, sigma, denoised) of each of its calls; it answers as before."""

    def __init__(self, guider, on_call: Callable[[Tensor, Tensor, Tensor], None]):
        super().__init__(guider)
        self._on_call = on_call

    def __call__(self, x, sigma, *args, **kwargs):
        denoised = self._guider(x, sigma, *args, **kwargs)
        self._on_call(x, sigma, denoised)
        return denoised

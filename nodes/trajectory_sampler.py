"""A SAMPLER that keeps the way that another one takes through the schedule."""

import comfy.model_management
import comfy.samplers
import torch

from ..resinversion import Pivot
from .checks import check_recording, model_kind


class ListeningModel:
    """An entered guider as samplers know it, with x kept at each sigma of the schedule that it is asked about.

    A sampler's callback would tell less: what it calls x is the start at every step in ipndm and deis, and counted in
    other coordinates in uni_pc.

    model_wrap: the entered guider. sigmas: (N + 1,), descending to 0. anchors: (N + 1, B, C, H, W), where x is kept,
    from the picture up; of several calls at one sigma the last counts, for predictors ask about a step ahead.
    """

    def __init__(self, model_wrap, sigmas, anchors):
        self._model_wrap = model_wrap
        self._sigmas = sigmas[:-1]
        self._anchors = anchors
        self.missing = set(range(1, len(sigmas)))

    def __getattr__(self, name):
        return getattr(self._model_wrap, name)

    def __call__(self, x, sigma, *args, **kwargs):
        """Denoised (B, C, H, W) of x at sigma (B,), as the guider gives it."""
        distances = (self._sigmas / sigma[0] - 1).abs()
        step = distances.argmin().item()
        if distances[step] < 1e-4:
            i = len(self._sigmas) - step
            self._anchors[i] = x
            self.missing.discard(i)
        return self._model_wrap(x, sigma, *args, **kwargs)


class TrajectorySampler(comfy.samplers.Sampler):
    """Runs a sampler unchanged and keeps x at every sigma of the schedule, a Pivot, in `trajectory`.

    sampler: a SAMPLER that asks the model at each sigma of the schedule, and between them as often as it likes.
    """

    def __init__(self, sampler):
        self.sampler = sampler
        self.trajectory = None

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """Sample (B, C, H, W) along sigmas, (N + 1,), descending to 0. Raises ValueError where it misses a sigma."""
        device = comfy.model_management.intermediate_device()
        anchors = torch.empty((len(sigmas), *noise.shape), dtype=torch.float32, device=device)
        model = ListeningModel(model_wrap, sigmas, anchors)
        samples = self.sampler.sample(
            model, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar
        )
        if model.missing:
            raise ValueError(
                f"sampler: left out {len(model.missing)} of the schedule's {len(sigmas) - 1} sigmas, so its way cannot "
                "be recorded. Connect a sampler that follows the schedule, such as euler or dpmpp_2m."
            )
        anchors[0] = samples
        check_recording(anchors)
        self.trajectory = Pivot(sigmas.flip(0).float().to(device), anchors, model_kind(model_wrap.model_patcher))
        return samples

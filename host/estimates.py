"""What a recording says of the picture on its way to the noise: the denoised estimate at each anchor, and in pixels."""

import torch
from torch import Tensor

from ..resinversion import Pivot, Recording


def denoised_estimates(recording: Pivot) -> Tensor:
    """The picture as it is foreseen at each noisy anchor, x*_i - s_i * eps_i, (N, B, C, H, W) for i = 1 .. N.

    eps_i is the recorded prediction eps(x*_i, s_i) of a Recording. A Pivot has kept none, but each of its steps is
    a line, and eps_i is the slope of the one from x*_{i-1} to x*_i: the prediction that drove it. Its line meets
    sigma 0 at the same place from either end, so evaluated at "current" this is the model's denoised at x*_{i-1}, and
    for i = 1 the picture itself. Where no prediction drove the pivot, as in `noise_pivot`, these values are no
    estimates of the picture.
    """
    sigmas = recording.sigmas.reshape(-1, *[1] * (recording.anchors.ndim - 1)).to(recording.anchors.device)
    if isinstance(recording, Recording):
        eps = recording.predictions
    else:
        eps = recording.anchors.diff(dim=0) / sigmas.diff(dim=0)
    return recording.anchors[1:] - sigmas[1:] * eps


def decoded(vae, samples: Tensor) -> Tensor:
    """Latents (B, C, H, W) or a video's as a VAE decodes them: IMAGE (N, H, W, 3), a video's frames one by one.

    Raises ValueError, naming the input vae, for one of another kind of latents, where it tells, and for NaN and Inf.
    """
    channels, axes = getattr(vae, "latent_channels", None), getattr(vae, "latent_dim", None)
    if channels not in (None, samples.shape[1]) or (axes is not None and axes + 2 != samples.ndim):
        raise ValueError(
            f"vae: decodes latents of {channels} channels and {axes} dimensions, and these have {samples.shape[1]} and "
            f"{samples.ndim - 2}. Connect the VAE of the model's own checkpoint."
        )
    images = vae.decode(samples)
    if not torch.isfinite(images).all():
        raise ValueError("vae: decoded NaN or Inf. In fp16 it may: start ComfyUI with --fp32-vae or --bf16-vae.")
    return images.flatten(0, -4)

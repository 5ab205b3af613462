"""What a recording says of the picture on its way to the noise: the denoised estimate at each anchor."""

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

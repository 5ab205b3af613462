"""Where and when a flow acts: a MASK brought to the latent's size, and a CURVE as one factor for each step."""

import comfy.sampler_helpers
import numpy as np
from comfy_api.input import CurveInput
from torch import Tensor

from .checks import check_mask
from .messages import shown

MOST_OF_A_CURVE = 1e6  # of a point's x and y, either way


def region_mask(name: str, mask: Tensor | None, flow: str, latent: Tensor) -> Tensor | None:
    """A pixel mask at a latent's size, batch, channels and device, as the host's noise masks are; None is everywhere.

    name: the input that the mask came from. mask: (M, H, W), 0 .. 1. flow: what acts there, for the messages.
    latent: (B, C, h, w), M pictures going evenly into B; or a video (B, C, T, h, w), M pictures along its T frames.
    Returns None, too, where the mask is 1 everywhere. Raises ValueError where it does not fit or nothing is left of it.
    """
    if mask is None or (mask == 1).all():
        return None
    if latent.is_nested or latent.ndim not in (4, 5):
        raise ValueError(
            f"{name}: the latent is neither a single picture nor a single video, so a mask cannot be mapped onto it. "
            "Disconnect the mask."
        )
    pictures, batch = mask.shape[:-2].numel(), latent.shape[0]
    if latent.ndim == 4 and batch % pictures:
        raise ValueError(
            f"{name}: has {pictures} masks for a latent of {batch} pictures. Give one mask for all, or one for each."
        )
    region = comfy.sampler_helpers.prepare_mask(mask.float(), latent.shape, latent.device)
    check_mask(name, region, flow, "everywhere once resized to the latent")
    return region


def read_curve(name: str, curve) -> CurveInput | None:
    """Read a CURVE input: a CurveInput, or its JSON as an API prompt may hold it; None is no curve.

    name: of the input. Raises ValueError unless it has points, (x, y), of common sizes.
    """
    if curve is None:
        return None
    try:
        read = CurveInput.from_raw(curve)
        usable = len(read.points) > 0 and (np.abs(read.points) <= MOST_OF_A_CURVE).all()
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):  # no points, no pairs, no numbers
        usable = False
    if not usable:
        raise ValueError(
            f"{name}: {shown(curve)} is not a curve. Connect a Curve Editor, or give one or more points whose x and y "
            f"are at most {MOST_OF_A_CURVE:g}, such as "
            '{"points": [[0, 1], [1, 0.5]]}, or disconnect it.'
        )
    return read


def curve_values(curve: CurveInput | None, steps: int) -> list[float] | None:
    """A curve's value at each step, the noisiest (x = 0) first and the last at x = 1; None is no curve."""
    if curve is None:
        return None
    # The spline through a constant strays from it by the last bit, and a scale of 0 or 1 to the bit saves a call.
    return [round(value, 6) for value in curve.to_lut(steps).tolist()]

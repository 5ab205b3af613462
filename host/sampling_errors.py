"""What sampling in guiders that came from outside can end in, as messages that name the input they came by."""

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import torch

NON_FINITE_REMEDY = "Run the model in bf16 or fp32 (--bf16-unet, --fp32-unet) or lower cfg."


def check_finite(predicted: torch.Tensor, source: str = "guider") -> None:
    """Raise ValueError if what a model has predicted, of any shape, holds NaN or Inf.

    source: the input that the model came from: "guider", "model", or another that holds what was predicted.
    """
    if torch.isfinite(predicted).all():
        return
    faults = {"guider": "its model predicted NaN or Inf", "model": "it predicted NaN or Inf"}
    fault = faults.get(source, "holds NaN or Inf, because a flow's model predicted them")
    raise ValueError(f"{source}: {fault}. {NON_FINITE_REMEDY}")


def check_samples(samples: torch.Tensor, source: str) -> None:
    """Raise ValueError if what a sampler returns, of any shape, holds NaN or Inf. source: as of `sampled`."""
    if not torch.isfinite(samples).all():
        raise ValueError(
            f"{source}: sampling came to NaN or Inf. {NON_FINITE_REMEDY} A forward_scale, backward_scale or curve much "
            "above 1 does it as well."
        )


# What code raises that met something which it did not expect. Memory errors and interrupts are the host's to handle.
UNEXPECTED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError)


@contextmanager
def sampled(source: str) -> Iterator[None]:
    """While guiders are sampled: raises RuntimeError, by the name of the input they came from, if that fails.

    source: that input, or both if there are two. Their models, conditioning and patches are others' code: what it
    raises says nothing of the graph.
    """
    try:
        yield
    except UNEXPECTED as error:
        if comfy.model_management.is_oom(error):
            raise
        raise RuntimeError(
            f"{source}: sampling failed inside ({type(error).__name__}: {error}). If it fails in SamplerCustomAdvanced "
            "too, its model, conditioning and patches do not fit together."
        ) from error

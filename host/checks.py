"""Checks of what a graph hands to the nodes: each error names the input, what is wrong and what to do."""

from collections.abc import Mapping

import torch

from .messages import shown


def check_has_steps(sigmas: torch.Tensor) -> None:
    """Raise ValueError if SIGMAS, (N + 1,), make no step at all."""
    if len(sigmas) < 2:
        raise ValueError(
            f"sigmas: {len(sigmas)} values make no step. Connect a scheduler with 1 step or more and denoise above 0."
        )


def check_sigmas(sigmas: torch.Tensor) -> None:
    """Refuse SIGMAS that no inversion can follow. sigmas: (N + 1,), as the host's scheduler nodes give them.

    Raises ValueError unless there are at least two, finite, strictly descending and ending at 0.
    """
    check_has_steps(sigmas)
    if not torch.isfinite(sigmas).all():
        raise ValueError("sigmas: holds NaN or Inf. Check the scheduler's settings.")
    if not (sigmas.diff() < 0).all():
        raise ValueError(
            "sigmas: must descend at every step. Connect the scheduler's output unchanged (no FlipSigmas: the "
            "inversion flips it itself), with no more steps than the model has timesteps."
        )
    if sigmas[-1] != 0:
        raise ValueError(
            f"sigmas: ends at {sigmas[-1].item():.4g}, not at 0, but inversion starts from a finished picture. "
            "To invert only part of the way, connect low_sigmas of SplitSigmas."
        )


def check_latent_shape(name: str, samples: torch.Tensor, model_patcher) -> None:
    """Raise ValueError unless the latents that came by the input `name` are of the shape that a MODEL works with.

    samples: as in a LATENT; all zero, they stand for an empty picture, to which the host gives the channels it needs.
    A single picture passes for a video of one frame.
    """
    latent_format = model_patcher.get_model_object("latent_format")
    channels, axes = latent_format.latent_channels, latent_format.latent_dimensions
    fits = samples.ndim == axes + 2 or (axes == 3 and samples.ndim == 4)
    if not fits or (samples.shape[1] != channels and samples.count_nonzero() > 0):
        layout = ("B", channels, *("T", "H", "W")[-axes:])
        raise ValueError(
            f"{name}: holds latents of shape {tuple(samples.shape)}, and this model "
            f"({type(model_patcher.model).__name__}) works with ({', '.join(map(str, layout))}). Another VAE made "
            "them, or a node changed their shape: encode the picture with the VAE of the model's own checkpoint."
        )


def check_batch_index(name: str, latent: dict) -> None:
    """Raise ValueError unless a LATENT's batch_index, by which the host seeds noise, numbers each of its pictures."""
    numbers, pictures = latent.get("batch_index"), len(latent["samples"])
    if numbers is None:
        return
    whole = isinstance(numbers, list | tuple) and all(isinstance(one, int) and one >= 0 for one in numbers)
    if not whole or len(numbers) != pictures:
        raise ValueError(
            f"{name}: its batch_index, {shown(numbers)}, does not number its {pictures} pictures. A node before this "
            "one changed the batch and left the numbers: use Get Latent From Batch."
        )


def model_kind(model_patcher) -> str:
    """What a recording has to agree on with the model that samples along it: architecture and prediction type.

    model_patcher: a MODEL. Returns text such as "SDXL, EPS prediction".
    """
    sampling_classes = type(model_patcher.get_model_object("model_sampling")).__mro__
    prediction = next(c.__name__ for c in sampling_classes if "calculate_denoised" in vars(c))
    return f"{type(model_patcher.model).__name__}, {prediction} prediction"


def check_model_kind(recorded: str, model_patcher, recording: str) -> None:
    """Raise ValueError unless the MODEL that is to sample is of the kind that the recording was made with.

    recorded: the recording's `model_kind`. recording: the input it came from, for the message.
    """
    kind = model_kind(model_patcher)
    if kind != recorded:
        raise ValueError(
            f"{recording}: was recorded with a model of another kind ({recorded}) than this one ({kind}). Invert the "
            "picture with the model that samples it."
        )


def check_flow_kinds(pivot_patcher, forward_patcher) -> None:
    """Raise ValueError unless two flows' MODELs share a latent space and a prediction type."""
    pivot, forward = model_kind(pivot_patcher), model_kind(forward_patcher)
    if pivot != forward:
        raise ValueError(
            f"forward_flow: its MODEL is of another kind ({forward}) than the pivot_flow's ({pivot}). "
            "Make both guiders from models of one family."
        )


def check_latent_formats(pivot_patcher, forward_patcher) -> None:
    """Raise ValueError if two flows' MODELs scale latents differently, so that no prediction of one fits the other."""
    pivot, forward = (
        type(patcher.get_model_object("latent_format")).__name__ for patcher in (pivot_patcher, forward_patcher)
    )
    if pivot != forward:
        raise ValueError(
            f"forward_flow: its MODEL has another latent format ({forward}) than the pivot_flow's ({pivot}). "
            "Use models of one latent format, or the same ModelSampling node before both guiders."
        )


def check_range(part: str, start: float, end: float) -> None:
    """Raise ValueError unless start comes before end. part: what the inputs' names, <part>_end_percent, begin with."""
    if start > end:
        raise ValueError(
            f"{part}_start_percent: {start:g} comes after {part}_end_percent, {end:g}. Set a start before the end, or "
            "set its strength to 0."
        )


def check_mask(name: str, mask: torch.Tensor | None, flow: str, where: str = "everywhere") -> None:
    """Raise ValueError if a mask of any shape is 0 everywhere; None is no mask.

    name: the input that it came from. flow: what acts where the mask is not 0, for the message. where: how it is 0.
    """
    if mask is not None and not mask.any():
        raise ValueError(
            f"{name}: is 0 {where}, so {flow} would never act. Paint the region where it should act, or disconnect the "
            "mask for the whole picture."
        )


def check_beside(name: str, other: str, given: Mapping, remedy: str) -> None:
    """Raise ValueError if an optional input is connected without another that it needs.

    name, other: of the two. given: what is connected, by name, None for nothing. remedy: a sentence.
    """
    if given[name] is not None and given[other] is None:
        raise ValueError(f"{name}: is connected, and {other}, which it needs, is not. {remedy}")


def missing_file(find, name: str | None) -> bool | str:
    """For validate_inputs: True, or what `find(name)` says of the missing file, before the run starts.

    find: raises FileNotFoundError with the remedy. name: None where the combo is fed by a link, so not known yet.
    """
    try:
        if name is not None:
            find(name)
    except FileNotFoundError as error:
        return str(error)
    return True

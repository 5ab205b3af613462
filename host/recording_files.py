"""A pivot or a residual noise as a safetensors file: one format for both, and refused where it is damaged or another.

Tensors `sigmas` and `anchors` and, of a residual noise, `predictions`, all as in the dataclasses; metadata
`inversion_format_version`, `model_kind` and `latent_shape` (JSON), beside what the writer adds.
"""

import json

import comfy.model_management
import safetensors
import torch

from ..resinversion import Pivot, Recording
from .messages import shown
from .recordings import ModelPivot, ModelRecording, of_kind
from .saved_files import SavedFiles, write_tensors

SAVED = SavedFiles(".inversion.safetensors")

VERSION = 1
KEYS = {"sigmas", "anchors", "predictions"}
LONGEST_KIND = 200  # characters of model_kind
REMEDY = "Choose a file made by Save Residual Noise or Save Pivot, or save it again."


def write_recording(recording: ModelPivot | ModelRecording, path: str, metadata: dict[str, str]) -> None:
    """Write a ModelPivot or a ModelRecording into a new file: `write_tensors`, with metadata beside its own."""
    tensors = {"sigmas": recording.sigmas, "anchors": recording.anchors}
    if isinstance(recording, Recording):
        tensors["predictions"] = recording.predictions
    own = {
        "inversion_format_version": str(VERSION),
        "model_kind": recording.model_kind,
        "latent_shape": json.dumps(list(recording.anchors.shape[1:])),
    }
    write_tensors(tensors, path, {**metadata, **own})


def read_recording(path: str, name: str) -> ModelPivot | ModelRecording:
    """Read a ModelPivot or, where there are predictions, a ModelRecording: to the last bit what was written.

    name: the input that chose the file, for messages. Raises ValueError for a file that is damaged, of another kind, or
    of a later version.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            kept = KEYS & set(file.keys()) if metadata.get("inversion_format_version") == str(VERSION) else ()
            device = comfy.model_management.intermediate_device()
            # Copied: the tensors of an open file lie in that file, which then could not be replaced or deleted.
            tensors = {key: file.get_tensor(key).to(device, copy=True) for key in kept}
    except (safetensors.SafetensorError, OSError, UnicodeError, AttributeError) as error:  # the last: unknown dtypes
        raise ValueError(
            f"{name}: {path} cannot be read ({error}): it is damaged, cut short, or another kind of file. {REMEDY}"
        ) from error
    _check_version(metadata.get("inversion_format_version"), path, name)
    fault = _fault(metadata, tensors)
    if fault:
        raise ValueError(f"{name}: {path} is damaged: {fault}. {REMEDY}")
    pivot = Pivot(tensors["sigmas"], tensors["anchors"])
    recorded = Recording(pivot.sigmas, pivot.anchors, tensors["predictions"]) if "predictions" in tensors else pivot
    return of_kind(recorded, metadata["model_kind"])


def _check_version(version: str | None, path: str, name: str) -> None:
    if version is None:
        raise ValueError(f"{name}: {path} is not a saved pivot or residual noise. {REMEDY}")
    if version != str(VERSION):
        raise ValueError(
            f"{name}: {path} has format version {shown(version)}, and this CustomEnhancer reads version {VERSION}. "
            "Update CustomEnhancer, or save the file again with this one."
        )


def _fault(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> str | None:
    """What is wrong with the contents of a file of the right version, None if nothing is."""
    missing = [key for key in ("model_kind", "latent_shape") if key not in metadata]
    missing += [key for key in ("sigmas", "anchors") if key not in tensors]
    if missing:
        return f"{', '.join(missing)} is missing"
    steps, shape = tensors["sigmas"].numel() - 1, tensors["anchors"].shape[1:]
    if metadata["latent_shape"] != json.dumps(list(shape)):
        return f"anchors holds latents of shape {list(shape)}, not {shown(metadata['latent_shape'])}"
    if len(shape) not in (3, 4, 5) or 0 in shape:
        return f"anchors holds latents of shape {list(shape)}, which no picture has"
    if len(metadata["model_kind"]) > LONGEST_KIND:
        return f"model_kind has {len(metadata['model_kind'])} characters"
    shapes = {"sigmas": [steps + 1], "anchors": [steps + 1, *shape], "predictions": [steps, *shape]}
    for key, expected in shapes.items():
        tensor = tensors.get(key)
        if tensor is None:
            continue
        if tensor.dtype != torch.float32 or list(tensor.shape) != expected:
            return f"{key} is {tensor.dtype} of shape {list(tensor.shape)}, not torch.float32 of shape {expected}"
        if not torch.isfinite(tensor).all():
            return f"{key} holds NaN or Inf"
    if steps < 1 or tensors["sigmas"][0] != 0 or not (tensors["sigmas"].diff() > 0).all():
        return "sigmas does not ascend from 0"
    return None

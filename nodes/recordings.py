"""Nodes that keep pivots and residual noise in files: one picture inverted once serves many graphs and API jobs."""

import hashlib
import json
import os
from functools import partial
from pathlib import Path

import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.latest import io, ui

from ..resinversion import Pivot, ResidualNoise
from . import sockets
from .checks import missing_file
from .recording_file import read_recording, write_recording

CATEGORY = "CustomEnhancer/inversion"
SUFFIX = ".inversion.safetensors"

FILENAME_PREFIX = io.String.Input(
    "filename_prefix",
    default="inversions/ComfyUI",
    optional=True,
    tooltip="Folder below the output folder and beginning of the file's name; a number is added. %year%, %month%, "
    "%day% and the like stand for the date.",
)
LATENT = io.Latent.Output(
    display_name="latent",
    tooltip="An empty latent of the picture's size, for SamplerCustomAdvanced: BiMD Sampler starts at the recording.",
)


def name_input(input_name: str) -> io.Combo.Input:
    """The choice of a saved file: those of the input folder, and those of the output folder as the host marks them."""
    names = _names(folder_paths.get_input_directory())
    names += [f"{name} [output]" for name in _names(folder_paths.get_output_directory())]
    return io.Combo.Input(
        input_name,
        options=names,
        tooltip=f"A file named *{SUFFIX} in the input folder, or in the output folder, where the save node puts it.",
    )


def _names(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob(f"*{SUFFIX}"))


def save(recording: Pivot, filename_prefix: str, hidden) -> ui.SavedResult:
    """Write a recording into the output folder under the next free number. Raises ValueError for any other folder.

    hidden: the node's, whose prompt and workflow go into the file as into a saved picture.
    """
    output = folder_paths.get_output_directory()
    if not folder_paths.is_within_directory(output, os.path.join(output, filename_prefix)):
        raise ValueError(
            f"filename_prefix: {filename_prefix} leads out of the output folder. Give a name or a folder below it."
        )
    folder, filename, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, output)
    file = f"{filename}_{counter:05}_{SUFFIX}"
    metadata = {}
    if hidden is not None and not args.disable_metadata:
        metadata = {key: json.dumps(value) for key, value in (hidden.extra_pnginfo or {}).items()}
        metadata["prompt"] = json.dumps(hidden.prompt)
    write_recording(recording, os.path.join(folder, file), metadata)
    return ui.SavedResult(file, subfolder, io.FolderType.output)


def find(name: str, input_name: str) -> str:
    """The path of a saved file. Raises FileNotFoundError, naming the input, where there is none below its folder."""
    if folder_paths.exists_annotated_filepath(name):
        path = folder_paths.get_annotated_filepath(name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        f"{input_name}: {name} is not there. Put the file into the input folder, or name one in the output folder with "
        '" [output]" after it.'
    )


def fingerprint(name: str | None, input_name: str) -> str | float:
    """What changes with the file's content, for the host's cache; NaN, which never stays, where it is fed by a link."""
    return float("nan") if name is None else hashlib.sha256(Path(find(name, input_name)).read_bytes()).hexdigest()


def empty_latent(recording: Pivot) -> dict:
    """LATENT of zeros of the recorded picture's shape."""
    return {"samples": torch.zeros_like(recording.anchors[0])}


class SaveResidualNoise(io.ComfyNode):
    """`write_recording` of a residual noise as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_SaveResidualNoise",
            display_name="Save Residual Noise",
            category=CATEGORY,
            description="Saves an inverted picture, pivot and residual noise, so that it need not be inverted again.",
            inputs=[
                sockets.ResidualNoise.Input("residual_noise", tooltip="What ResInversion recorded of the picture."),
                FILENAME_PREFIX,
            ],
            outputs=[sockets.ResidualNoise.Output(display_name="residual_noise", tooltip="The same, to go on with.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, residual_noise, filename_prefix="inversions/ComfyUI"):
        saved = save(residual_noise, filename_prefix, cls.hidden)
        return io.NodeOutput(residual_noise, ui={"recordings": [saved]})


class LoadResidualNoise(io.ComfyNode):
    """`read_recording` of a residual noise as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_LoadResidualNoise",
            display_name="Load Residual Noise",
            category=CATEGORY,
            description="Loads an inverted picture that Save Residual Noise saved, for BiMD Sampler.",
            inputs=[name_input("residual_noise_name")],
            outputs=[
                sockets.ResidualNoise.Output(
                    display_name="residual_noise", tooltip="Pivot and residual noise, to the last bit as saved."
                ),
                LATENT,
            ],
        )

    @classmethod
    def validate_inputs(cls, residual_noise_name=None):
        return missing_file(partial(find, input_name="residual_noise_name"), residual_noise_name)

    @classmethod
    def fingerprint_inputs(cls, residual_noise_name=None):
        return fingerprint(residual_noise_name, "residual_noise_name")

    @classmethod
    def execute(cls, residual_noise_name):
        path = find(residual_noise_name, "residual_noise_name")
        residual_noise = read_recording(path, "residual_noise_name")
        if not isinstance(residual_noise, ResidualNoise):
            raise ValueError(
                f"residual_noise_name: {residual_noise_name} is a pivot without residual noise. Load it with Load "
                "Pivot and connect Record Residual Noise."
            )
        return io.NodeOutput(residual_noise, empty_latent(residual_noise))


class SavePivot(io.ComfyNode):
    """`write_recording` of a pivot as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_SavePivot",
            display_name="Save Pivot",
            category=CATEGORY,
            description="Saves a pivot, so that Record Residual Noise can make it exact for other guiders later.",
            inputs=[
                sockets.Pivot.Input("pivot", tooltip="The trajectory to keep."),
                FILENAME_PREFIX,
            ],
            outputs=[sockets.Pivot.Output(display_name="pivot", tooltip="The same, to go on with.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, pivot, filename_prefix="inversions/ComfyUI"):
        return io.NodeOutput(pivot, ui={"recordings": [save(pivot, filename_prefix, cls.hidden)]})


class LoadPivot(io.ComfyNode):
    """`read_recording` of a pivot as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CE_LoadPivot",
            display_name="Load Pivot",
            category=CATEGORY,
            description="Loads a pivot that Save Pivot saved, or that of a saved residual noise, for Record Residual "
            "Noise.",
            inputs=[name_input("pivot_name")],
            outputs=[
                sockets.Pivot.Output(display_name="pivot", tooltip="The trajectory, to the last bit as saved."),
                LATENT,
            ],
        )

    @classmethod
    def validate_inputs(cls, pivot_name=None):
        return missing_file(partial(find, input_name="pivot_name"), pivot_name)

    @classmethod
    def fingerprint_inputs(cls, pivot_name=None):
        return fingerprint(pivot_name, "pivot_name")

    @classmethod
    def execute(cls, pivot_name):
        recorded = read_recording(find(pivot_name, "pivot_name"), "pivot_name")
        pivot = Pivot(recorded.sigmas, recorded.anchors, recorded.model_kind)
        return io.NodeOutput(pivot, empty_latent(pivot))


NODES = [SaveResidualNoise, LoadResidualNoise, SavePivot, LoadPivot]

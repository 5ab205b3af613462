"""Saved recordings in the host's folders: their names, where they are, and the next free one."""

import hashlib
import json
import os
from pathlib import Path

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui

from .recording_files import write_recording
from .recordings import ModelPivot, ModelRecording

SUFFIX = ".inversion.safetensors"
MOST_NAMES = 20  # of files, in a message


def saved_recordings() -> list[str]:
    """The names to choose from: those in the input folder, and those in the output folder as the host marks them."""
    names = _names_in(folder_paths.get_input_directory())
    return names + [f"{name} [output]" for name in _names_in(folder_paths.get_output_directory())]


def _names_in(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob(f"*{SUFFIX}"))


def save_recording(recording: ModelPivot | ModelRecording, filename_prefix: str, hidden) -> ui.SavedResult:
    """Write a recording into the output folder under the next free number. Raises ValueError for any other folder.

    hidden: the node's, whose prompt and workflow go into the file as into a saved picture.
    """
    output = folder_paths.get_output_directory()
    if not folder_paths.is_within_directory(output, os.path.join(output, filename_prefix)):
        raise ValueError(
            f"filename_prefix: {filename_prefix} leads out of the output folder. Give a name, or a subfolder and a "
            "name."
        )
    folder, filename, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, output)
    file = f"{filename}_{counter:05}_{SUFFIX}"
    metadata = {}
    if hidden is not None and not args.disable_metadata:
        metadata = {key: json.dumps(value) for key, value in (hidden.extra_pnginfo or {}).items()}
        metadata["prompt"] = json.dumps(hidden.prompt)
    write_recording(recording, os.path.join(folder, file), metadata)
    return ui.SavedResult(file, subfolder, io.FolderType.output)


def find_recording(name: str, input_name: str) -> str:
    """The path of a saved file. Raises FileNotFoundError, naming the input, where there is none below its folder."""
    if folder_paths.exists_annotated_filepath(name):
        path = folder_paths.get_annotated_filepath(name)
        if os.path.isfile(path):
            return path
    names = saved_recordings()
    found = ", ".join(names[:MOST_NAMES]) or "none found"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    raise FileNotFoundError(
        f"{input_name}: {name} is not there. Put the file into the input folder, or name one in the output folder, "
        f'followed by " [output]". Files to choose from: {found}{more}.'
    )


def recording_fingerprint(name: str | None, input_name: str) -> str | float:
    """The host's cache key: the file's hash, or NaN (never equal, so never cached) if the input is linked."""
    if name is None:
        return float("nan")
    return hashlib.sha256(Path(find_recording(name, input_name)).read_bytes()).hexdigest()

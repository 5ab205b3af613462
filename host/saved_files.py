"""Files that nodes save in the host's folders: their names, where they are, the next free one, and writing it whole."""

import errno
import hashlib
import itertools
import json
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import comfy.utils
import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.v0_0_2 import io, ui
from safetensors import SafetensorError

MOST_NAMES = 20  # of files, in a message
UNUSABLE = ("Cc", "Cs")  # kinds of characters: control, and halves of a character, which UTF-8 cannot hold


@dataclass(frozen=True)
class SavedFiles:
    """One kind of saved file. suffix: what its names end in."""

    suffix: str

    def names(self) -> list[str]:
        """The names to choose from: in the input folder, and in the output folder, which the host marks."""
        names = self._names_in(folder_paths.get_input_directory())
        return names + [f"{name} [output]" for name in self._names_in(folder_paths.get_output_directory())]

    def _names_in(self, folder: str) -> list[str]:
        return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob(f"*{self.suffix}"))

    def find(self, name: str, input_name: str) -> str:
        """The path of a file. Raises FileNotFoundError, naming the input, where there is none below its folder."""
        file, folder = folder_paths.annotated_filepath(name)
        folder = folder or folder_paths.get_input_directory()
        path = os.path.join(folder, file)
        if _leads_into(folder, path) and os.path.isfile(path):
            return path
        names = self.names()
        found = ", ".join(names[:MOST_NAMES]) or "none found"
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        raise FileNotFoundError(
            f"{input_name}: {name} is not there. Put the file into the input folder, or name one in the output folder, "
            f'followed by " [output]". Files to choose from: {found}{more}.'
        )

    def fingerprint(self, name: str | None, input_name: str) -> str | float:
        """The host's cache key: the file's hash, or NaN (never equal, so never cached) if the input is linked."""
        if name is None:
            return float("nan")
        return hashlib.sha256(Path(self.find(name, input_name)).read_bytes()).hexdigest()

    def save(self, write: Callable[[str, dict[str, str]], None], filename_prefix: str, hidden) -> ui.SavedResult:
        """Write a file into the output folder under the next free number; none is ever written over.

        write: takes its path and its metadata, and raises FileExistsError where it is there. hidden: the node's, whose
        prompt and workflow go into the file as into a saved picture. Raises ValueError, naming filename_prefix, where
        that names no file below the output folder, or none that can be written.
        """
        output = folder_paths.get_output_directory()
        _check_prefix(filename_prefix, output)
        metadata = {}
        if hidden is not None and not args.disable_metadata:
            metadata = {key: json.dumps(value) for key, value in (hidden.extra_pnginfo or {}).items()}
            metadata["prompt"] = json.dumps(hidden.prompt)
        try:
            # The host counts wrongly from a prefix that ends in a slash, and where it compares names differently.
            folder, filename, counter, subfolder, _ = folder_paths.get_save_image_path(
                os.path.normpath(filename_prefix), output
            )
            for number in itertools.count(counter):
                file = f"{filename}_{number:05}_{self.suffix}"
                try:
                    write(os.path.join(folder, file), metadata)
                except FileExistsError:
                    continue
                return ui.SavedResult(file, subfolder, io.FolderType.output)
        except (OSError, ValueError, SafetensorError) as error:
            raise ValueError(_why_not_written(error, filename_prefix, output)) from error


def write_tensors(tensors: dict[str, torch.Tensor], path: str, metadata: dict[str, str]) -> None:
    """Write tensors and metadata into a new safetensors file, which appears whole or not at all.

    Raises FileExistsError where there is such a file, or another writer is at it: of any number of writers, in whatever
    processes, one gets the name. Raises OSError or SafetensorError where the file cannot be written.
    """
    unfinished = Path(f"{path}.unfinished")
    unfinished.open("xb").close()  # who makes this file has the name
    try:
        if os.path.lexists(path):
            raise FileExistsError(path)
        # Copied: safetensors refuses tensors that are parts of one.
        copies = {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}
        comfy.utils.save_torch_file(copies, str(unfinished), metadata)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_prefix(prefix: str, output: str) -> None:
    """Raise ValueError unless a prefix names a file below the output folder, with characters that names can have."""
    remedy = "Give a name, or a subfolder and a name."
    forbidden = '<>:"|?*' if os.name == "nt" else ""
    unusable = {
        character for character in prefix if character in forbidden or unicodedata.category(character) in UNUSABLE
    }
    if unusable:
        raise ValueError(
            f"filename_prefix: {prefix!a} holds {', '.join(sorted(map(ascii, unusable)))}, which no file name can have "
            f"here. {remedy}"
        )
    if not _leads_into(output, os.path.join(output, prefix)):
        raise ValueError(f"filename_prefix: {prefix} leads out of the output folder. {remedy}")
    if os.path.basename(os.path.normpath(prefix)) in ("", os.curdir) or not prefix.strip():
        raise ValueError(f"filename_prefix: {prefix!r} names no file. {remedy}")


def _leads_into(folder: str, path: str) -> bool:
    """Whether a path leads to a place in a folder, links followed. ComfyUI's own functions ask that from 0.28 on."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # half a character
        return False


def _why_not_written(error: Exception, prefix: str, output: str) -> str:
    """What a user can do about a file that the system would not write."""
    said = f"filename_prefix: nothing was saved under {prefix} in {output}"
    code = getattr(error, "errno", None)
    if code == errno.ENAMETOOLONG:
        return f"{said}: the name is too long for the file system. Give a shorter one."
    if code in (errno.ENOTDIR, errno.EEXIST):
        return f"{said}: a part of it that should be a folder is a file. Choose another name for the folder."
    if code == errno.ENOSPC or "No space left" in str(error):
        return f"{said}: the disk is full. Make room, or start ComfyUI with another --output-directory."
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{said}: ComfyUI may not write there ({os.strerror(code)}). Give the folder's owner and rights to "
            "ComfyUI's user, choose another subfolder, or start ComfyUI with another --output-directory."
        )
    return f"{said} ({error}). Choose another name, or start ComfyUI with another --output-directory."

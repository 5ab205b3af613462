"""Model files that hold two named parts: read without ever executing anything in them, and told apart by their keys."""

import pickle

import comfy.utils
import folder_paths
import torch


def find_tensor_file(folder: str, file: str, name: str, remedy: str) -> str:
    """The path of a file in any folder that the host has registered as `folder`.

    name: the input that chose the file, remedy: what to do, for messages. Raises FileNotFoundError where it is in none.
    """
    path = folder_paths.get_full_path(folder, file)
    if path is None:
        searched = ", ".join(folder_paths.get_folder_paths(folder))
        raise FileNotFoundError(f"{name}: {file} is not in {searched}. {remedy}")
    return path


def read_tensor_file(path: str, name: str, remedy: str) -> dict:
    """The contents of a .safetensors, .bin or .pth file; an empty dict where the file holds something else.

    name: the input that chose the file, remedy: what to do, for messages. Raises ValueError for a file that is
    damaged, cut short or holds code.
    """
    try:
        contents = comfy.utils.load_torch_file(path, safe_load=True)
    except Exception as error:  # whatever a reader of damaged files may raise
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            reason = "holds code beside its weights and was not loaded, for that code might run"
        else:
            reason = f"cannot be read ({type(error).__name__}): it is damaged, cut short, or another kind of file"
        raise ValueError(f"{name}: {path} {reason}. {remedy}") from error
    return contents if isinstance(contents, dict) else {}


def part(contents: dict, name: str) -> dict[str, torch.Tensor]:
    """The tensors of one part, whether it is a dict of its own or a prefix of keys; empty where there is none."""
    if isinstance(contents.get(name), dict):
        tensors = contents[name]
    else:
        prefix = f"{name}."
        tensors = {key.removeprefix(prefix): value for key, value in contents.items() if str(key).startswith(prefix)}
    return {key: tensor for key, tensor in tensors.items() if torch.is_tensor(tensor)}

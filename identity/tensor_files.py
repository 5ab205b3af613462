"""Files of named tensors, such as PhotoMaker's and InstantID's: found, read without executing anything, loaded."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import folder_paths
import torch

from ..faces.errors import file_not_found

# Makes a module whose sizes come from a file, for a device and with torch.nn or the host's twin of it.
MakeModule = Callable[[object, object], torch.nn.Module]


def find_tensor_file(folder: str, file: str, name: str, remedy: str) -> str:
    """The path of a file in any folder that the host has registered as `folder`.

    name: the input that chose the file, remedy: what to do, for messages. Raises FileNotFoundError if it is in none.
    """
    path = folder_paths.get_full_path(folder, file)
    if path is None:
        found = folder_paths.get_filename_list(folder)
        raise file_not_found(name, file, folder_paths.get_folder_paths(folder), remedy, found)
    return path


def read_tensor_file(path: str, name: str, remedy: str) -> dict:
    """The contents of a .safetensors, .bin or .pth file; an empty dict if the file holds something else.

    name: the input that chose the file, remedy: what to do, for messages. Raises ValueError for a file that is
    damaged, cut short or holds code.
    """
    try:
        contents = comfy.utils.load_torch_file(path, safe_load=True)
    except Exception as error:  # whatever a reader of damaged files may raise
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            reason = "holds code besides its weights and was not loaded, because that code might run"
        else:
            reason = f"cannot be read ({type(error).__name__}): it is damaged, cut short, or another kind of file"
        raise ValueError(f"{name}: {path} {reason}. {remedy}") from error
    return contents if isinstance(contents, dict) else {}


def part(contents: dict, name: str) -> dict[str, torch.Tensor]:
    """The tensors of one part, whether it is a dict of its own or a prefix of keys; empty if there is none."""
    if isinstance(contents.get(name), dict):
        tensors = contents[name]
    else:
        prefix = f"{name}."
        tensors = {key.removeprefix(prefix): value for key, value in contents.items() if str(key).startswith(prefix)}
    return {key: tensor for key, tensor in tensors.items() if torch.is_tensor(tensor)}


def misfits(make: MakeModule, weights: dict[str, torch.Tensor]) -> list[str]:
    """Names of the weights that are missing, surplus or of another shape than in the module that `make` makes.

    A file must hold the module's parameters. What else a module keeps, such as buffers, it makes itself, and the host's
    own modules keep more in newer versions: that may be missing. Raises what `make` raises.
    """
    with torch.device("meta"):
        module = make("meta", torch.nn)
    needed = {key for key, _ in module.named_parameters()}
    expected = {key: tensor.shape for key, tensor in module.state_dict().items() if torch.is_tensor(tensor)}
    found = {key: tensor.shape for key, tensor in weights.items()}
    return sorted(key for key in needed | found.keys() if expected.get(key) != found.get(key))


def weight_fault(make: MakeModule, weights: dict[str, torch.Tensor]) -> str:
    """What keeps weights from being those of the module that `make` makes, for a message; "" if they are."""
    try:
        names = misfits(make, weights)
    except KeyError as key:
        return f"it has no {key.args[0]}"
    except (IndexError, RuntimeError, ValueError):
        return "the names and shapes of its tensors do not belong together"
    return f"tensors missing, surplus or of a wrong shape: {len(names)}, such as {names[0]}" if names else ""


def load_module(make: MakeModule, weights: dict[str, torch.Tensor]) -> comfy.model_patcher.ModelPatcher:
    """The module that `make` makes with these weights, in a ModelPatcher, so that the host manages its memory.

    The weights, without `weight_fault`, keep their dtype; the host's operations compute in that of their input.
    """
    offload_device = comfy.model_management.text_encoder_offload_device()
    module = make(offload_device, comfy.ops.manual_cast).eval()
    patcher = comfy.model_patcher.CoreModelPatcher(
        module, load_device=comfy.model_management.text_encoder_device(), offload_device=offload_device
    )
    module.load_state_dict(weights, strict=False, assign=patcher.is_dynamic())  # buffers may be missing: `misfits`
    return patcher


@contextmanager
def loaded(patcher: comfy.model_patcher.ModelPatcher) -> Iterator[None]:
    """Have the host load a model for as long as the context lasts, and unload it, and no other, right after.

    For an encoder whose result is all that sampling needs: otherwise it would hold its memory until another model wants
    it, and a model that is loaded in the meantime would get less.
    """
    comfy.model_management.load_model_gpu(patcher)
    try:
        yield
    finally:
        others = [each for each in comfy.model_management.current_loaded_models if each.model is not patcher]
        # More than there is, as the host asks when it unloads everything; it spares those that it is to keep.
        comfy.model_management.free_memory(1e30, patcher.load_device, keep_loaded=others)

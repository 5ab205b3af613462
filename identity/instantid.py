"""InstantID (instantX-research/InstantID): its adapter file, and a person's face as the adapter encodes it."""

import os
from dataclasses import dataclass
from functools import partial

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import folder_paths
import torch

from ..faces.analysis import check_embedding_width
from ..faces.errors import wrong_file
from ..faces.known_files import INSTANTID
from .instantid_adapter import InstantIDAdapter
from .tensor_files import find_tensor_file, load_module, loaded, part, read_tensor_file, weight_fault

FOLDER = "instantid"
INPUT = "instantid_name"
EMBEDDING_WIDTH = 512
EXPECTED = "the parts image_proj and ip_adapter, with keys such as image_proj.latents and ip_adapter.1.to_k_ip.weight"
REMEDY = INSTANTID.remedy

folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))


@dataclass(frozen=True)
class InstantID:
    """One file's content. patcher: a ModelPatcher around its InstantIDAdapter."""

    patcher: comfy.model_patcher.ModelPatcher

    @property
    def widths(self) -> list[int]:
        """Widths of the attention layers' keys and values, in the file's order."""
        return self.patcher.model.widths

    @property
    def token_width(self) -> int:
        """Width of a face's tokens."""
        return self.patcher.model.token_width


def find_instantid(name: str) -> str:
    """The path of a file in any registered instantid folder. Raises FileNotFoundError with the remedy."""
    return find_tensor_file(FOLDER, name, INPUT, REMEDY)


def load_instantid(path: str) -> InstantID:
    """Load an adapter file: a dict of `image_proj` and `ip_adapter` (.bin), or the two as prefixes (.safetensors).

    Weights keep the file's dtype, except for those of the attention's keys and values: see `attention_dtype`. Computing
    is float32. Raises ValueError, naming the input instantid_name, for a file that is damaged, holds code or is
    something else, such as an IP-Adapter of another kind.
    """
    contents = read_tensor_file(path, INPUT, REMEDY)
    parts = {name: part(contents, name) for name in ("image_proj", "ip_adapter")}
    parts["ip_adapter"] = {key: tensor.to(attention_dtype(tensor.dtype)) for key, tensor in parts["ip_adapter"].items()}
    make = partial(InstantIDAdapter, *parts.values())
    weights = {f"{name}.{key}": tensor for name, tensors in parts.items() for key, tensor in tensors.items()}
    missing = next((f"it has no {name}" for name, tensors in parts.items() if not tensors), "")
    if fault := missing or weight_fault(make, weights) or _width_fault(parts["image_proj"]):
        raise wrong_file(INPUT, path, "InstantID's adapter", fault, EXPECTED, contents, REMEDY)
    return InstantID(load_module(make, weights))


def attention_dtype(dtype: torch.dtype) -> torch.dtype:
    """In what the host keeps weights of SDXL's attention that a file has in `dtype`; never in a wider type.

    Keys and values meet the network in the type that it computes in, so what is more precise in their weights is lost
    there, at twice the memory: four fifths of InstantID's file are such weights. The tokens, which IdentityNet reads as
    well, come from weights that stay as they are.
    """
    device = comfy.model_management.get_torch_device()
    supported = comfy.supported_models.SDXL.supported_inference_dtypes
    kept = comfy.model_management.unet_dtype(device, supported_dtypes=supported, weight_dtype=dtype)
    computing = comfy.model_management.unet_manual_cast(kept, device, supported) or kept
    return computing if computing.itemsize < dtype.itemsize else dtype


def _width_fault(image_proj: dict[str, torch.Tensor]) -> str:
    """What is wrong with an adapter of the same layout that reads embeddings of something other than faces, or ""."""
    width = image_proj["proj_in.weight"].shape[1]
    if width == EMBEDDING_WIDTH:
        return ""
    return f"it reads embeddings {width} wide, but those of faces are {EMBEDDING_WIDTH} wide"


@torch.no_grad()
def encode_faces(instantid: InstantID, embeddings: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A person's face and the all-zero embedding, which stands for no face, as the adapter's layers read them.

    embeddings: (N, 512), raw antelopev2 embeddings of one person's pictures, of which the mean is encoded.
    Returns for each of the two the tokens (1, 16, 2048) and the keys and values (2, 16, sum of widths), float32 on the
    host's intermediate device. Raises ValueError if the embeddings have another width.
    """
    adapter = instantid.patcher.model
    check_embedding_width(embeddings, adapter.embedding_width, "InstantID", "antelopev2")
    mean = embeddings.mean(dim=0)
    both = torch.stack([mean, torch.zeros_like(mean)]).to(instantid.patcher.load_device)
    device = comfy.model_management.intermediate_device()
    with loaded(instantid.patcher):
        tokens, keys_values = (encoded.to(device) for encoded in adapter(both))
    return [(tokens[n : n + 1], keys_values[n]) for n in range(2)]

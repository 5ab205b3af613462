"""InstantID (instantX-research/InstantID): its file, and a face in a MODEL's attention and in CONDITIONING."""

import os
from dataclasses import dataclass

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import folder_paths
import torch

from .instantid_adapter import InstantIDAdapter, shape_faults
from .tensor_files import find_tensor_file, part, read_tensor_file

FOLDER = "instantid"
EMBEDDING_WIDTH = 512
REMEDY = "Put ip-adapter.bin of InstantX/InstantID (Hugging Face) into models/instantid and choose it."

folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))


@dataclass(frozen=True)
class InstantID:
    """One file's content. patcher: a ModelPatcher around its InstantIDAdapter."""

    patcher: comfy.model_patcher.ModelPatcher

    @property
    def widths(self) -> list[int]:
        """Of each attention layer's keys and values, in the file's order."""
        return self.patcher.model.widths

    @property
    def token_width(self) -> int:
        """Of a face's tokens."""
        return self.patcher.model.token_width


def find_instantid(name: str) -> str:
    """The path of a file in any registered instantid folder. Raises FileNotFoundError with the remedy."""
    return find_tensor_file(FOLDER, name, "instantid_name", REMEDY)


def load_instantid(path: str) -> InstantID:
    """Load an adapter file: a dict of `image_proj` and `ip_adapter` (.bin), or the two as prefixes (.safetensors).

    Weights keep the file's dtype, computing is float32. Raises ValueError, naming the input instantid_name, for a file
    that is damaged, holds code or is another, an IP-Adapter of another family say.
    """
    contents = read_tensor_file(path, "instantid_name", REMEDY)
    image_proj, ip_adapter = part(contents, "image_proj"), part(contents, "ip_adapter")
    if faults := _faults(image_proj, ip_adapter):
        raise ValueError(
            f"instantid_name: {path} is not InstantID's adapter: {faults}. Expected: the parts image_proj and "
            "ip_adapter, with keys such as image_proj.latents and ip_adapter.1.to_k_ip.weight; "
            f"it begins with {', '.join(map(str, list(contents)[:3])) or 'nothing'}. {REMEDY}"
        )
    offload_device = comfy.model_management.text_encoder_offload_device()
    adapter = InstantIDAdapter(image_proj, ip_adapter, offload_device, comfy.ops.manual_cast).eval()
    patcher = comfy.model_patcher.CoreModelPatcher(
        adapter, load_device=comfy.model_management.text_encoder_device(), offload_device=offload_device
    )
    weights = {f"image_proj.{key}": tensor for key, tensor in image_proj.items()}
    weights |= {f"ip_adapter.{key}": tensor for key, tensor in ip_adapter.items()}
    adapter.load_state_dict(weights, assign=patcher.is_dynamic())
    return InstantID(patcher)


def _faults(image_proj: dict[str, torch.Tensor], ip_adapter: dict[str, torch.Tensor]) -> str:
    """What keeps these tensors from being InstantID's, or "" where nothing does."""
    if not image_proj or not ip_adapter:
        return f"it has no {'ip_adapter' if image_proj else 'image_proj'}"
    try:
        misfits = shape_faults(image_proj, ip_adapter)
    except KeyError as key:
        return f"it has no {key.args[0]}"
    except (IndexError, RuntimeError, ValueError):
        return "the names and shapes of its tensors do not belong together"
    if misfits:
        return f"tensors missing, surplus or of a wrong shape: {len(misfits)}, such as {misfits[0]}"
    width = image_proj["proj_in.weight"].shape[1]
    if width != EMBEDDING_WIDTH:
        return f"it reads embeddings {width} wide, where a face's is {EMBEDDING_WIDTH} wide"
    return ""


@torch.no_grad()
def encode_faces(instantid: InstantID, embeddings: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The face of one person and the face of nobody, as the adapter's layers see them.

    embeddings: (N, 512), raw antelopev2 embeddings of one person's pictures; their mean counts. Nobody's is zero.
    Returns of each the tokens (1, 16, 2048) and the keys and values (2, 16, sum of widths), float32 on the host's
    intermediate device. Raises ValueError where the embeddings are of another width.
    """
    adapter = instantid.patcher.model
    if embeddings.shape[-1] != adapter.embedding_width:
        raise ValueError(
            f"face_analysis: its embeddings are {embeddings.shape[-1]} wide, and InstantID reads "
            f"{adapter.embedding_width}. Load the pack antelopev2."
        )
    comfy.model_management.load_model_gpu(instantid.patcher)
    mean = embeddings.mean(dim=0)
    both = torch.stack([mean, torch.zeros_like(mean)]).to(instantid.patcher.load_device)
    device = comfy.model_management.intermediate_device()
    tokens, keys_values = (encoded.to(device) for encoded in adapter(both))
    return [(tokens[n : n + 1], keys_values[n]) for n in range(2)]


def check_sdxl(model) -> None:
    """Raise ValueError unless model, a MODEL, is SDXL."""
    if not isinstance(model.model, comfy.model_base.SDXL):
        raise ValueError(
            f"model: InstantID works with SDXL alone, and this is {type(model.model).__name__}. Connect the MODEL of "
            "an SDXL checkpoint (base, not refiner)."
        )

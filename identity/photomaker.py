"""PhotoMaker V1 and V2 (TencentARC/PhotoMaker): files, LoRA on a MODEL, identity in a prompt's CONDITIONING."""

from dataclasses import dataclass

import comfy.clip_vision
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import torch

from .face_analysis import check_recogniser, embed_faces
from .photomaker_encoder import PERCEIVER, PhotoMakerEncoder, PhotoMakerV2Encoder, encoder_class, shape_faults
from .photomaker_prompt import ENCODER_WIDTHS, prepare_prompt
from .tensor_files import find_tensor_file, part, read_tensor_file

REMEDY = (
    "Put photomaker-v1.bin of TencentARC/PhotoMaker or photomaker-v2.bin of TencentARC/PhotoMaker-V2 (Hugging Face) "
    "into models/photomaker and choose it."
)


@dataclass(frozen=True)
class PhotoMaker:
    """One file's content. patcher: a ModelPatcher around its PhotoMakerEncoder. lora: the UNet LoRA's named tensors."""

    patcher: comfy.model_patcher.ModelPatcher
    lora: dict[str, torch.Tensor]


def find_photomaker(name: str) -> str:
    """The path of a file in any registered photomaker folder. Raises FileNotFoundError with the remedy."""
    return find_tensor_file("photomaker", name, "photomaker_name", REMEDY)


def load_photomaker(path: str) -> PhotoMaker:
    """Load a file of either version; version and layout show in its keys, and nothing in it is ever executed.

    Layouts: a dict of `id_encoder` and `lora_weights` (.bin); the same two as prefixes (.safetensors); encoder keys
    without a prefix beside `unet.` keys. Weights keep the file's dtype, computing is float32.
    Raises ValueError, naming the input photomaker_name, for a file that is damaged, holds code or is another.
    """
    contents = read_tensor_file(path, "photomaker_name", REMEDY)
    encoder_weights, lora = _split(contents)
    faults = _faults(encoder_weights, lora)
    if faults:
        raise ValueError(
            f"photomaker_name: {path} is not a PhotoMaker file: {faults}. Expected: the keys id_encoder and "
            "lora_weights, or both as prefixes, or encoder keys such as visual_projection_2.weight beside unet. keys, "
            f"and in V2 encoder keys under {PERCEIVER} as well; "
            f"it begins with {', '.join(map(str, list(contents)[:3])) or 'nothing'}. {REMEDY}"
        )
    offload_device = comfy.model_management.text_encoder_offload_device()
    encoder = encoder_class(encoder_weights)(encoder_weights, offload_device, comfy.ops.manual_cast).eval()
    patcher = comfy.model_patcher.CoreModelPatcher(
        encoder, load_device=comfy.model_management.text_encoder_device(), offload_device=offload_device
    )
    encoder.load_state_dict(encoder_weights, assign=patcher.is_dynamic())
    return PhotoMaker(patcher, lora)


def _split(contents: dict) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors of the encoder and of the LoRA, out of any of the three layouts."""
    encoder, lora = part(contents, "id_encoder"), part(contents, "lora_weights")
    if not encoder:
        tensors = {str(key): value for key, value in contents.items() if torch.is_tensor(value)}
        lora = {key: value for key, value in tensors.items() if key.startswith("unet.")}
        encoder = {key: value for key, value in tensors.items() if key not in lora}
    # A constant (0, 1, 2, ...) that files saved by older transformers carry along.
    encoder.pop("vision_model.embeddings.position_ids", None)
    return encoder, lora


def _faults(encoder_weights: dict[str, torch.Tensor], lora: dict[str, torch.Tensor]) -> str:
    """What keeps these tensors from being a PhotoMaker, or "" where nothing does."""
    try:
        misfits = shape_faults(encoder_weights)
    except KeyError as key:
        return f"it has no {key.args[0]}"
    except (IndexError, RuntimeError, ValueError):
        return "the shapes of its tensors do not belong together"
    if misfits:
        return f"tensors missing, surplus or of a wrong shape: {len(misfits)}, such as {misfits[0]}"
    return "" if lora else "it has no LoRA"


def apply_lora(model, photomaker: PhotoMaker, strength: float):
    """A MODEL with the file's LoRA on it; at strength 0 the very MODEL that came in, which is never changed.

    Raises ValueError where model is not SDXL or no tensor of the LoRA finds its place in it.
    """
    if not isinstance(model.model, comfy.model_base.SDXL):
        raise ValueError(
            f"model: PhotoMaker works with SDXL alone, and this is {type(model.model).__name__}. Connect the MODEL of "
            "an SDXL checkpoint (base, not refiner)."
        )
    if strength == 0:
        return model
    patched, _ = comfy.sd.load_lora_for_models(model, None, photomaker.lora, strength, 0)
    if _patch_count(patched) == _patch_count(model):
        raise ValueError(
            "model: no tensor of the PhotoMaker file's LoRA fits into it. Connect a MODEL with SDXL's own layers, or "
            "set lora_strength to 0."
        )
    return patched


def _patch_count(model) -> int:
    return sum(map(len, model.patches.values()))


@torch.no_grad()
def encode_prompt(photomaker: PhotoMaker, clip, images: torch.Tensor, text: str, trigger: str, face_analysis=None):
    """Encode one prompt with the identity of some pictures, and without.

    images: (N, H, W, 3 or 4), 0 to 1, the reference pictures, one person. text, trigger: see `prepare_prompt`.
    face_analysis: a FACEANALYSIS of buffalo_l. V2 needs it and leaves out pictures without a face; V1 ignores it.
    Returns two CONDITIONINGs. `positive`: the class tokens hold the identity; its pooled output is that of the prompt
    with the class token repeated, which no identity reaches, as in PhotoMaker's pipeline. `customization_free`: the
    prompt without the trigger, pooled output included, just as CLIPTextEncode gives it.
    Raises ValueError for a prompt, CLIP, number of pictures or face analysis that does not fit.
    """
    if images.shape[0] == 0:
        raise ValueError("reference_images: no picture in it. Connect at least one picture of the person.")
    encoder, device = photomaker.patcher.model, photomaker.patcher.load_device
    faces = ()
    if isinstance(encoder, PhotoMakerV2Encoder):
        shown, embeddings = _embed(face_analysis, images, encoder.face_width)
        images, faces = images[shown], (embeddings.to(device),)
    prompt = prepare_prompt(clip, text, trigger, copies=images.shape[0] * encoder.tokens_per_image)
    customization_free = clip.encode_from_tokens_scheduled(prompt.customization_free)
    plain = clip.encode_from_tokens_scheduled(prompt.identity)

    comfy.model_management.load_model_gpu(photomaker.patcher)
    pixels = comfy.clip_vision.clip_preprocess(images.to(device), size=encoder.image_size).float()
    identity = encoder(pixels, *faces)
    positive = [[_fuse(encoder, cond, identity, prompt.positions), dict(extras)] for cond, extras in plain]
    return positive, customization_free


def _embed(face_analysis, images: torch.Tensor, width: int) -> tuple[list[int], torch.Tensor]:
    """The numbers of the pictures that show a face, and its raw embedding in each, (M, width)."""
    if face_analysis is None:
        raise ValueError(
            "face_analysis: PhotoMaker V2 reads the face with one, and none is connected. Connect Load Face Analysis "
            "with the pack buffalo_l, or load photomaker-v1.bin, which needs none."
        )
    check_recogniser(face_analysis, "buffalo_l", "PhotoMaker V2")
    shown, embeddings = embed_faces(face_analysis, images)
    if embeddings.shape[-1] != width:
        raise ValueError(
            f"face_analysis: its embeddings of a face are {embeddings.shape[-1]} wide, and this PhotoMaker reads "
            f"{width}. Connect Load Face Analysis with the pack buffalo_l."
        )
    return shown, embeddings


def _fuse(encoder: PhotoMakerEncoder, cond: torch.Tensor, identity: torch.Tensor, positions: dict[str, list[int]]):
    """A copy of cond (1, T, 2048) with identity (N, 2048) fused into the tokens at positions (N per text encoder)."""
    if encoder.width != cond.shape[-1]:
        raise ValueError(
            f"photomaker: made for text embeddings {encoder.width} wide, and clip's are {cond.shape[-1]} wide. {REMEDY}"
        )
    fused_cond = cond.clone()
    widths = list(ENCODER_WIDTHS.values())
    outputs = dict(zip(ENCODER_WIDTHS, fused_cond.split(widths, dim=-1), strict=True))
    text = torch.cat([output[0, positions[key]] for key, output in outputs.items()], dim=-1)
    fused = encoder.fuse_module(text.to(identity), identity).to(cond)
    for (key, output), tokens in zip(outputs.items(), fused.split(widths, dim=-1), strict=True):
        output[0, positions[key]] = tokens
    return fused_cond

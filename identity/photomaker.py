"""PhotoMaker V1 and V2 (TencentARC/PhotoMaker): its files, and a person's identity in a prompt's CONDITIONING."""

from dataclasses import dataclass
from functools import partial

import comfy.clip_model
import comfy.model_patcher
import torch

from ..faces.analysis import ChosenFace, check_embedding_width, check_recogniser, embedding_of, find_faces
from ..faces.errors import wrong_file
from ..faces.known_files import PHOTOMAKER_V1, PHOTOMAKER_V2
from ..faces.person import PersonFace
from ..faces.pictures import around, centre, each_picture
from .photomaker_encoder import PERCEIVER, PhotoMakerEncoder, PhotoMakerV2Encoder, encoder_class
from .photomaker_prompt import ENCODER_WIDTHS, prepare_prompt
from .tensor_files import find_tensor_file, load_module, loaded, part, read_tensor_file, weight_fault

INPUT = "photomaker_name"
EXPECTED = (
    "the keys id_encoder and lora_weights, or both as prefixes, or encoder keys such as visual_projection_2.weight "
    f"beside unet. keys, and in V2 encoder keys under {PERCEIVER} as well"
)
REMEDY = f"{PHOTOMAKER_V2.remedy} Or PhotoMaker V1: {PHOTOMAKER_V1.link}."

LARGEST = ChosenFace()


@dataclass(frozen=True)
class PhotoMaker:
    """One file's content. patcher: a ModelPatcher around its PhotoMakerEncoder. lora: the UNet LoRA's named tensors."""

    patcher: comfy.model_patcher.ModelPatcher
    lora: dict[str, torch.Tensor]


def find_photomaker(name: str) -> str:
    """The path of a file in any registered photomaker folder. Raises FileNotFoundError with the remedy."""
    return find_tensor_file("photomaker", name, INPUT, REMEDY)


def load_photomaker(path: str) -> PhotoMaker:
    """Load a file of either version, which its keys tell, as they tell its layout; nothing in it is ever executed.

    Layouts: a dict of `id_encoder` and `lora_weights` (.bin); the same two as prefixes (.safetensors); encoder keys
    without a prefix beside `unet.` keys. Weights keep the file's dtype, computing is float32.
    Raises ValueError, naming the input photomaker_name, for a file that is damaged, holds code or is something else.
    """
    contents = read_tensor_file(path, INPUT, REMEDY)
    weights, lora = _split(contents)
    make = partial(encoder_class(weights), weights)
    if fault := weight_fault(make, weights) or ("" if lora else "it has no LoRA"):
        raise wrong_file(INPUT, path, "a PhotoMaker file", fault, EXPECTED, contents, REMEDY)
    return PhotoMaker(load_module(make, weights), lora)


def _split(contents: dict) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors of the encoder and of the LoRA, from any of the three layouts."""
    encoder, lora = part(contents, "id_encoder"), part(contents, "lora_weights")
    if not encoder:
        tensors = {str(key): value for key, value in contents.items() if torch.is_tensor(value)}
        lora = {key: value for key, value in tensors.items() if key.startswith("unet.")}
        encoder = {key: value for key, value in tensors.items() if key not in lora}
    # A constant (0, 1, 2, ...) that files saved by older versions of transformers contain.
    encoder.pop("vision_model.embeddings.position_ids", None)
    return encoder, lora


@torch.no_grad()
def encode_prompt(
    photomaker: PhotoMaker,
    clip,
    images: torch.Tensor,
    text: str,
    trigger: str,
    face_analysis=None,
    chosen: ChosenFace = LARGEST,
    face: PersonFace | None = None,
):
    """Encode one prompt with the identity of some pictures, and without.

    images: (N, H, W, 3 or 4), 0 to 1, reference pictures of one person. text, trigger: see `prepare_prompt`.
    face_analysis: a FACEANALYSIS of buffalo_l. V2 needs it and leaves out pictures without a face; V1 ignores it,
    unless another face than the largest is chosen.
    chosen: which face of each picture is the person. The largest: the centre square of each picture is read, as in
    PhotoMaker's pipeline. Another: a square around that face.
    face: V2 takes its embedding for every picture and needs no face_analysis; V1 reads none.
    Returns two CONDITIONINGs. `positive`: the class tokens hold the identity; its pooled output is that of the prompt
    with the class token repeated and has no identity, as in PhotoMaker's pipeline. `customization_free`: the prompt
    without the trigger, pooled output included, exactly as CLIPTextEncode gives it.
    Raises ValueError for a prompt, CLIP, number of pictures or face analysis that does not fit.
    """
    encoder, device = photomaker.patcher.model, photomaker.patcher.load_device
    pictures, embeddings = _read(encoder, images, face_analysis, chosen, face)
    prompt = prepare_prompt(clip, text, trigger, copies=len(pictures) * encoder.tokens_per_image)
    customization_free = clip.encode_from_tokens_scheduled(prompt.customization_free)
    plain = clip.encode_from_tokens_scheduled(prompt.identity)
    if not all(torch.isfinite(cond).all() for cond, _ in (*customization_free, *plain)):
        raise ValueError(
            "text: its embedding holds NaN or Inf. Check the weights in it, such as (red hat:1.2), or run the text "
            "encoders in fp32 (--fp32-text-enc)."
        )

    with loaded(photomaker.patcher):
        # In one batch, as PhotoMaker does: in several, the last bits would differ.
        pixels = torch.cat([_pixels(picture, encoder.image_size, device) for _, picture in each_picture(pictures)])
        identity = encoder(pixels, *(embedding.to(device) for embedding in embeddings))
        positive = [[_fuse(encoder, cond, identity, prompt.positions), dict(extras)] for cond, extras in plain]
    return positive, customization_free


def _pixels(picture: torch.Tensor, size: int, device) -> torch.Tensor:
    """One picture, (H, W, C), as CLIP takes it: (1, 3, size, size), in float32 whatever the picture is in."""
    return comfy.clip_model.clip_preprocess(centre(picture[None]).to(device, torch.float32), size=size)


def _read(encoder: PhotoMakerEncoder, images: torch.Tensor, face_analysis, chosen: ChosenFace, face: PersonFace | None):
    """The M pictures that the encoder is to see, and what else it takes: in V2 the raw embeddings, (M, width)."""
    reads_embeddings = isinstance(encoder, PhotoMakerV2Encoder)
    if face is not None and not reads_embeddings:
        raise ValueError(
            "face: this file is of PhotoMaker V1, which sees pictures and reads no face. Disconnect it, or load "
            "photomaker-v2.bin."
        )
    given = face and face.embedding("buffalo_l", "PhotoMaker V2")
    if given is not None:
        check_embedding_width(given, encoder.face_width, "PhotoMaker V2", "buffalo_l", "face")
    needs_embeddings = reads_embeddings and given is None
    if not needs_embeddings and chosen == LARGEST:
        return list(images), () if given is None else (given.expand(len(images), -1),)
    if face_analysis is None and needs_embeddings:
        raise ValueError(
            "face_analysis: PhotoMaker V2 reads the face with one, but none is connected. Connect Load Face Analysis "
            "with the pack buffalo_l, or load photomaker-v1.bin, which needs none."
        )
    if face_analysis is None:
        raise ValueError(
            "face_analysis: none is connected, and reference_order and reference_face choose a face by one. Connect "
            "Load Face Analysis, or set them to large-small and 0."
        )
    if needs_embeddings:
        check_recogniser(face_analysis, "buffalo_l", "PhotoMaker V2")
    faces = find_faces(face_analysis, images, chosen.order, chosen.index, "reference_images")
    pictures = [images[number] if chosen == LARGEST else around(images[number], faces[number].bbox) for number in faces]
    if not needs_embeddings:
        return pictures, () if given is None else (given.expand(len(pictures), -1),)
    embeddings = torch.stack([embedding_of(face) for face in faces.values()])
    check_embedding_width(embeddings, encoder.face_width, "PhotoMaker V2", "buffalo_l")
    return pictures, (embeddings,)


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

"""CLIP-T: how well pictures fit a prompt, as the cosine of their embeddings by the two halves of one CLIP.

The host loads the halves apart: that of pictures as a CLIP_VISION, that of texts as one of a CLIP's text encoders.
Their embeddings can be compared where both are projected, which the pooled output of the host's CLIPs often is not (SD
1.5's, Flux's), so the encoder is asked itself. Whether two halves of one width were trained together, no file tells.
"""

from collections.abc import Iterable

import comfy.clip_model
import safetensors
import torch
import torch.nn.functional as F
from torch import Tensor

REMEDY = (
    "Connect both halves of one CLIP: the CLIP of an SDXL checkpoint with "
    "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors in Load CLIP Vision, or model.safetensors of "
    "openai/clip-vit-large-patch14 in both Load CLIP and Load CLIP Vision."
)
PROJECTION = ("text_projection", "text_projection.weight")  # as OpenCLIP and transformers call it


def clip_scores(clip_vision, clip, text: str, pictures: Iterable[Tensor]) -> tuple[list[float], list[str]]:
    """The cosine, -1 to 1, of each picture with a text, and notes on how they were measured, a few words each.

    clip_vision, clip: CLIP_VISION and CLIP. pictures: (H, W, C) each, RGB in 0..1; the host scales the shorter side to
    the model's and takes the centre square. Raises ValueError, naming the input, unless the two are halves of a CLIP.
    """
    width = _image_width(clip_vision)
    notes, wanted = _text_embedding(clip, text, width)
    scores = []
    for picture in pictures:
        found = clip_vision.encode_image(picture[None].float()).image_embeds.detach().float()[0]
        if not _usable(found):
            raise ValueError(
                f"clip_vision: gives embeddings of zeros or NaN, as without its visual_projection. {REMEDY}"
            )
        scores.append(F.cosine_similarity(found, wanted.to(found), dim=0).item())
    return scores, notes


def _image_width(clip_vision) -> int:
    """How wide the space is that a CLIP_VISION's embeddings are projected into."""
    projection = getattr(getattr(clip_vision, "model", None), "visual_projection", None)
    kind = getattr(clip_vision, "model_type", type(clip_vision).__name__)
    if kind != "clip_vision_model" or not isinstance(projection, torch.nn.Linear):
        raise ValueError(f"clip_vision: a {kind} is the image half of no CLIP that has a text half here. {REMEDY}")
    return projection.out_features


def _text_embedding(clip, text: str, width: int) -> tuple[list[str], Tensor]:
    """Notes, and the projected embedding, (D,), of a text by the CLIP's encoder of this width."""
    if not text.strip():
        raise ValueError("text: is empty, so there is nothing to compare the pictures with. Write the prompt.")
    name, encoder = _text_encoder(clip, width)
    tokens = clip.tokenize(text)[name]
    embedding = _encoded(clip, encoder, tokens[:1])
    if not _usable(embedding):
        raise _no_projection(width)
    notes = []
    if len(tokens) > 1:
        notes.append("of the beginning of text, as much as CLIP reads at once")
    if clip.patcher.patches:
        notes.append("by a clip that a LoRA or another patch has changed")
    return notes, embedding


def _text_encoder(clip, width: int) -> tuple[str, torch.nn.Module]:
    """The encoder of a CLIP whose projection is so wide, and the name of its tokens."""
    children = getattr(clip, "cond_stage_model", torch.nn.Module()).named_children()
    encoders = {
        name.removeprefix("clip_"): child
        for name, child in children
        if isinstance(getattr(child, "transformer", None), comfy.clip_model.CLIPTextModel)
    }
    if not encoders:
        raise ValueError(f"clip: has none of CLIP's text encoders. {REMEDY}")
    widths = {encoder.transformer.text_projection.out_features: name for name, encoder in encoders.items()}
    if width not in widths:
        there = " and ".join(map(str, sorted(widths)))
        raise ValueError(
            f"clip_vision: its embeddings are {width} wide and clip's {there}, so they are of two models. {REMEDY}"
        )
    in_files = _projections_in_files(clip)
    if in_files is not None and width not in in_files:
        raise _no_projection(width)
    return widths[width], encoders[widths[width]]


def _no_projection(width: int) -> ValueError:
    return ValueError(
        f"clip: the file of its text encoder that is {width} wide holds no text_projection, without which texts and "
        f"pictures cannot be compared. {REMEDY}"
    )


def _projections_in_files(clip) -> set[int] | None:
    """How wide the text projections are in the files that a CLIP was loaded from; None where that cannot be told.

    What a file lacks, the host leaves as it found it in memory: mostly, but not always, zeros.
    """
    _, arguments, *_ = getattr(clip.patcher, "cached_patcher_init", None) or (None, ())
    files = arguments[0] if arguments else ()
    files = [files] if isinstance(files, str) else files
    widths = set()
    for file in files:
        if not str(file).lower().endswith((".safetensors", ".sft")):
            return None
        try:
            with safetensors.safe_open(file, framework="pt") as tensors:
                names = [name for name in list(tensors.keys()) if name.endswith(PROJECTION)]
                shapes = [tensors.get_slice(name).get_shape() for name in names]
        except (OSError, safetensors.SafetensorError):  # moved since
            return None
        widths |= {shape[-1] for shape in shapes if len(shape) == 2}
    return widths if files else None


def _encoded(clip, encoder: torch.nn.Module, tokens: list) -> Tensor:
    """The projected pooled output, (D,), of one of a CLIP's encoders. tokens: those of one chunk, in a list."""
    alone = clip.clone()
    alone.cond_stage_model = encoder
    _, pooled = alone.encode_from_tokens(tokens, return_pooled="unprojected")
    projected = encoder.transformer.text_projection(pooled.to(alone.patcher.load_device))
    return projected.detach().float()[0]


def _usable(embedding: Tensor) -> bool:
    return bool(torch.isfinite(embedding).all() and embedding.any())

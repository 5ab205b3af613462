"""Whether a conditioning's texts were encoded for a MODEL: the host finds out in a matrix product or a missing key."""

from collections.abc import Iterable

import comfy.model_base
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor

REMEDY = "Connect CLIP Text Encode with the CLIP of the model's own checkpoint."


def check_text(place: str, model_patcher, texts: Iterable[tuple[Tensor | None, dict]]) -> None:
    """Raise ValueError if the UNet of a MODEL cannot read a text embedding, or SDXL misses a text or its pooled part.

    place: what the message begins with, such as "negative:". texts: each an embedding (B, T, D), or None, and what goes
    with it, as in a CONDITIONING. Networks of other kinds are not judged.
    """
    model = model_patcher.model
    network = getattr(model, "diffusion_model", None)
    if not isinstance(network, UNetModel):
        return
    width = next((layer.to_k.in_features for key, layer in network.named_modules() if key.endswith(".attn2")), None)
    pooled = isinstance(model, comfy.model_base.SDXL | comfy.model_base.SDXLRefiner)
    for embedding, options in texts:
        if embedding is not None and width is not None and embedding.shape[-1] != width:
            raise ValueError(
                f"{place} has a text embedding {embedding.shape[-1]} wide, and the model reads {width}. {REMEDY}"
            )
        if pooled and options.get("pooled_output") is None and "unclip_conditioning" not in options:
            # The host's own Dual Model CFG Guider puts no text in place of a negative that is not connected.
            lacking = "no text" if embedding is None else "a text without the pooled embedding beside it"
            raise ValueError(f"{place} has {lacking}, which SDXL needs. {REMEDY}")


def check_guiders_texts(name: str, guider) -> None:
    """`check_text` of what a GUIDER is conditioned with, where it shows that. name: the input that it came from."""
    for key, conds in getattr(guider, "original_conds", {}).items():
        texts = ((cond.get("cross_attn"), cond) for cond in conds)
        check_text(f"{name}: its {key}", guider.model_patcher, texts)

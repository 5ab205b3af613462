"""Checks of a node's inputs against its own schema: a type each, and every error names the input.

The host enforces a widget's limits where a person or an API prompt types the value. Links bypass them (a node whose
output is of any type even bypasses the types), JSON knows NaN and null, and a value of null passes for any socket.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from comfy_api.v0_0_2 import io

from .messages import shown
from .regions import read_curve

MOST_TEXT = 4_000  # characters of a text in one line; Python reads no number of more than 4300 digits
MOST_MULTILINE_TEXT = 100_000
SLACK = 0.01  # by which a mask may miss 0 .. 1, as what was scaled with ringing does
MOST_FLOAT = 1e100  # where an input has no limits of its own: plots and sums of such numbers stay finite


@dataclass(frozen=True)
class Socket:
    """What a socket accepts that carries an object. accepts: tells by a value. origin: what to connect, a sentence."""

    accepts: Callable[[Any], bool]
    origin: str


def offers(*names: str, **parts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether an object has these attributes: packs exchange objects of their own classes that offer the same.

    parts: by an attribute's name, what it has to be itself.
    """

    def accepts(value) -> bool:
        if isinstance(value, type) or not all(hasattr(value, name) for name in names):
            return False
        return all(accepts_part(getattr(value, name, None)) for name, accepts_part in parts.items())

    return accepts


def instance_of(*classes: type) -> Callable[[Any], bool]:
    """Whether an object is one of these classes'."""
    return lambda value: isinstance(value, classes)


_is_model = offers("get_model_object", "model_options", model=offers("model_sampling"))


def _is_sampler(value) -> bool:
    return offers("sample")(value) and not offers("model_patcher")(value)  # which guiders have


SOCKETS = {
    "MODEL": Socket(_is_model, "Connect the MODEL of a checkpoint loader, or of a node behind it."),
    "CLIP": Socket(
        offers("tokenize"),
        "Connect the CLIP of an SDXL checkpoint; if it has no text encoders, load SDXL's two with DualCLIPLoader.",
    ),
    "CLIP_VISION": Socket(offers("encode_image"), "Connect Load CLIP Vision."),
    "VAE": Socket(offers("decode", "encode"), "Connect the VAE of a checkpoint, or Load VAE."),
    "GUIDER": Socket(offers("sample", model_patcher=_is_model), "Connect a guider such as CFGGuider."),
    "SAMPLER": Socket(_is_sampler, "Connect a sampler such as KSamplerSelect's."),
    "NOISE": Socket(offers("generate_noise"), "Connect a noise such as RandomNoise's."),
    "CONTROL_NET": Socket(offers("get_control", "set_cond_hint", "copy"), "Connect Load ControlNet Model."),
}


def own_socket(io_type: str, accepts: Callable[[Any], bool], origin: str):
    """The socket type `io_type` of this pack, as io.Custom makes it. accepts, origin: see Socket."""
    SOCKETS[io_type] = Socket(accepts, origin)
    return io.Custom(io_type)


def check_value(given: io.Input, value) -> None:
    """Raise ValueError unless a value, None included, is one that an input of a node's schema can work with.

    A COMBO is held against its options, which are to be fixed words: names of files have finders of their own.
    """
    name, io_type = given.id, given.get_io_type()
    if value is None:
        origin = SOCKETS[io_type].origin if io_type in SOCKETS else "Give it a value, or leave it out."
        raise ValueError(f"{name}: there is none (null). {origin}")
    if io_type in CHECKS:
        CHECKS[io_type](given, value)
        return
    sockets = [SOCKETS[one] for one in io_type.split(",")]
    if not any(socket.accepts(value) for socket in sockets):
        raise ValueError(f"{name}: {shown(value)} is not what belongs here. {sockets[0].origin}")


def _check_float(given: io.Float.Input, value) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f"{given.id}: {shown(value)} is not a number. Connect or give a FLOAT.")
    _check_limits(given, value)


def _check_int(given: io.Int.Input, value) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{given.id}: {shown(value)} is not a whole number. Connect or give an INT.")
    _check_limits(given, value)


def _check_limits(given, value) -> None:
    if value != value or value in (math.inf, -math.inf):
        raise ValueError(f"{given.id}: is {value}, which is no number to work with. Check where it comes from.")
    least, most = (
        limit if limit is not None else default
        for limit, default in ((given.min, -MOST_FLOAT), (given.max, MOST_FLOAT))
    )
    if value < least:
        raise ValueError(f"{given.id}: {shown(value)} is below {least:g}. {_range(given)}")
    if value > most:
        raise ValueError(f"{given.id}: {shown(value)} is above {most:g}. {_range(given)}")


def _range(given) -> str:
    least, most = (f"{limit:g}" if limit is not None and limit < 1e6 else None for limit in (given.min, given.max))
    if least is None or most is None:
        return "Use a number of a common size." if least is None else f"Set it to {least} or more."
    return f"Set it from {least} to {most}."


def _check_boolean(given: io.Boolean.Input, value) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{given.id}: {shown(value)} is neither true nor false. Connect or give a BOOLEAN.")


def _check_combo(given: io.Combo.Input, value) -> None:
    if not isinstance(value, str) or value not in given.options:
        raise ValueError(f"{given.id}: {shown(value)} is not one of its options: {', '.join(given.options)}.")


def check_file_name(name: str, value) -> None:
    """Raise ValueError unless the value of the input `name` can be the name of a file."""
    if value is None:
        raise ValueError(f"{name}: there is none (null). Choose a file from the list.")
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{name}: {shown(value)} is not the name of a file. Choose one from the list.")


def _check_string(given: io.String.Input, value) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{given.id}: {shown(value)} is not text. Connect or give a STRING.")
    most = MOST_MULTILINE_TEXT if given.multiline else MOST_TEXT
    if len(value) > most:
        raise ValueError(f"{given.id}: has {len(value)} characters. Use {most} at most.")
    unusable = next((character for character in value if character == "\0" or "\ud800" <= character <= "\udfff"), None)
    if unusable is not None:
        raise ValueError(
            f"{given.id}: holds {shown(unusable)}, which is no character of a text. Remove it, or type the text anew."
        )


def _check_curve(given: io.Input, value) -> None:
    read_curve(given.id, value)


def _check_tensor(name: str, value, what: str, shapes: tuple[int, ...], layout: str, origin: str) -> None:
    """Raise ValueError unless a value is an ordinary floating-point tensor with entries, all of them finite.

    what, layout: its kind and its axes, for messages. shapes: how many axes it may have. origin: what to connect.
    """
    if not torch.is_tensor(value) or value.is_nested or value.layout is not torch.strided or value.is_meta:
        raise ValueError(f"{name}: {shown(type(value).__name__)} is not {what}. {origin}")
    if value.ndim not in shapes or not value.is_floating_point():
        raise ValueError(
            f"{name}: holds {str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}, and {what} holds "
            f"floating-point numbers of shape {layout}. {origin}"
        )
    if value.numel() == 0:
        raise ValueError(f"{name}: is empty, of shape {tuple(value.shape)}. {origin}")
    if not torch.isfinite(value).all():
        raise ValueError(f"{name}: holds NaN or Inf, so the node that made it failed. {NON_FINITE.get(what, origin)}")


NON_FINITE = {
    "a LATENT": "A VAE in fp16 often does: start ComfyUI with --fp32-vae or --bf16-vae.",
    "an IMAGE": "A VAE in fp16 often does: start ComfyUI with --fp32-vae or --bf16-vae.",
    "SIGMAS": "Check the scheduler's settings.",
}


def _check_image(given: io.Image.Input, value) -> None:
    origin = "Connect pictures such as Load Image's."
    _check_tensor(given.id, value, "an IMAGE", (4,), "(N, H, W, C)", origin)
    if value.shape[-1] not in (3, 4):
        raise ValueError(
            f"{given.id}: its pictures have {value.shape[-1]} channel(s), not the 3 of red, green and blue. To make a "
            "grey picture of the first channel, put Convert Image to Mask and Convert Mask to Image before it."
        )


def _check_mask(given: io.Mask.Input, value) -> None:
    _check_mask_tensor(given.id, value, "Connect a mask such as Load Image's.")


def _check_mask_tensor(name: str, value, origin: str) -> None:
    _check_tensor(name, value, "a MASK", (2, 3, 4, 5), "(N, H, W)", origin)
    least, most = value.min().item(), value.max().item()
    if least < -SLACK or most > 1 + SLACK:
        raise ValueError(f"{name}: holds values from {least:g} to {most:g}, and a mask's go from 0 to 1. {origin}")


def _check_latent(given: io.Latent.Input, value) -> None:
    name, origin = given.id, "Connect a latent such as VAE Encode's."
    if not isinstance(value, dict) or "samples" not in value:
        raise ValueError(f"{name}: {shown(value)} is not a LATENT. {origin}")
    samples, mask = value["samples"], value.get("noise_mask")
    if getattr(samples, "is_nested", False):
        raise ValueError(f"{name}: joins several latents (such as video and sound). Use one of them by itself.")
    _check_tensor(name, samples, "a LATENT", (3, 4, 5), "(B, C, H, W)", origin)
    if mask is not None:
        _check_mask_tensor(f"{name}: its noise mask", mask, "Set it anew with Set Latent Noise Mask.")


def _check_sigmas(given: io.Sigmas.Input, value) -> None:
    if torch.is_tensor(value) and not value.is_nested and value.shape == (0,):
        return  # what a scheduler gives at denoise 0, of which nodes say more
    _check_tensor(given.id, value, "SIGMAS", (1,), "(N + 1,)", "Connect a scheduler such as BasicScheduler.")


def _check_conditioning(given: io.Conditioning.Input, value) -> None:
    name, origin = given.id, "Connect a conditioning such as CLIP Text Encode's."
    entries = value if isinstance(value, list | tuple) else ()
    if not all(isinstance(one, list | tuple) and len(one) == 2 and isinstance(one[1], dict) for one in entries):
        entries = ()
    if not entries:
        raise ValueError(f"{name}: {shown(value)} is not a CONDITIONING with anything in it. {origin}")
    for embedding, _ in entries:
        if torch.is_tensor(embedding) and not torch.isfinite(embedding).all():
            raise ValueError(f"{name}: its text embedding holds NaN or Inf. Run the text encoders in fp32.")


CHECKS = {
    "FLOAT": _check_float,
    "INT": _check_int,
    "BOOLEAN": _check_boolean,
    "COMBO": _check_combo,
    "STRING": _check_string,
    "CURVE": _check_curve,
    "IMAGE": _check_image,
    "MASK": _check_mask,
    "LATENT": _check_latent,
    "SIGMAS": _check_sigmas,
    "CONDITIONING": _check_conditioning,
}

"""The models folder of a rehearsal: every file at its real size, with the real names of its tensors, from a seed."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from standins.identity_net import draw_identity_net
from standins.instantid import make_instantid
from standins.lora import make_lora
from standins.photomaker import make_photomaker
from standins.sdxl import FULL, Size, Weights, draw_networks

from devtools.cache import digest
from devtools.processes import SetupError, say
from rehearsal import TESTS
from rehearsal.vae import draw_vae
from rehearsal.writing import write_safetensors

MARKER = "made_of.txt"  # a digest of seed, sizes and code
DRAWING = (*(TESTS / "standins").glob("*.py"), *(Path(__file__).with_name(f"{name}.py") for name in ("vae", "writing")))
FACE_PACKAGES = ("cv2", "insightface", "onnx", "onnxruntime", "skimage")
# What the real files hold. PhotoMaker's text encoder widths are the stand-in's own.
ENCODER = {"hidden": 1024, "layers": 24}
PERCEIVER = {"hidden": 1024, "layers": 4, "inner": 2048, "feed": 8192, "proj": 2048}
# Share of its size by which the LoRA changes a weight: as much in all layers would change the picture past all use.
LORA_CHANGE = 0.1

SDXL = "random_sdxl.safetensors"
PHOTOMAKER = {1: "random_photomaker_v1.bin", 2: "random_photomaker_v2.bin"}
INSTANTID = "random_instantid.bin"
IDENTITY_NET = "random_identity_net.safetensors"
LORA = "random_lora.safetensors"


def faces_can_be_read() -> bool:
    """Whether this Python has what reads faces; else they are given."""
    return all(importlib.util.find_spec(name) for name in FACE_PACKAGES)


def draw_checkpoint(weights: Weights, size: Size = FULL) -> None:
    """Draw SDXL base as its single file has it: UNet, CLIP-L, CLIP-G and VAE."""
    draw_networks(weights, size)
    draw_vae(weights)


@dataclass(frozen=True)
class Sizes:
    """Of SDXL, and of what is made for it; the defaults are those of the real files.

    encoder, perceiver: settings of the stand-ins' `encoder_tensors` and `perceiver_tensors`. resampler: width of
    InstantID's. photomaker_rank, lora_rank: of the two LoRAs.
    """

    sdxl: Size = FULL
    encoder: Mapping[str, int] = field(default_factory=ENCODER.copy)
    perceiver: Mapping[str, int] = field(default_factory=PERCEIVER.copy)
    resampler: int = 1280
    photomaker_rank: int = 64
    lora_rank: int = 32


def writers(seed: int, sizes: Sizes) -> dict[str, Callable[[Path], object]]:
    """What writes each file, by its place in the models folder."""
    unet = {"model_channels": sizes.sdxl.channels[0], "depths": sizes.sdxl.depths[1:]}
    lora = {"model_channels": unet["model_channels"], "rank": sizes.photomaker_rank}
    parts = {"encoder": sizes.encoder, "perceiver": sizes.perceiver, "lora": lora}
    networks = {
        f"checkpoints/{SDXL}": partial(draw_checkpoint, size=sizes.sdxl),
        f"controlnet/{IDENTITY_NET}": partial(draw_identity_net, **unet),
    }
    of_lora = {"rank": sizes.lora_rank, "unet_change": LORA_CHANGE}
    return {
        **{
            place: partial(write_safetensors, draw=draw, seed=seed, metadata={"format": "pt"})
            for place, draw in networks.items()
        },
        **{
            f"photomaker/{name}": partial(make_photomaker, seed=seed, depths=unet["depths"], version=version, **parts)
            for version, name in PHOTOMAKER.items()
        },
        f"instantid/{INSTANTID}": partial(make_instantid, seed=seed, width=sizes.resampler, **unet),
        f"loras/{LORA}": partial(make_lora, seed=seed, size=sizes.sdxl, **of_lora),
    }


def ensure_models(folder: Path, seed: int, sizes: Sizes = Sizes()) -> Path:
    """Write the files that `folder` lacks, 11 GB in all, and return it; all, if what it has was made otherwise.

    The face models are the tests' small stand-ins: one face in any picture.

    Raises SetupError for a folder with other things in it, OSError where the disk is full.
    """
    marker, made_of = folder / MARKER, digest(*DRAWING, more=repr((seed, sizes)))
    if folder.exists() and any(folder.iterdir()) and not marker.is_file():
        raise SetupError(f"{folder} has other things in it: --models names a folder for this rehearsal alone")
    if not marker.is_file() or marker.read_text(encoding="utf-8") != made_of:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text("unfinished", encoding="utf-8")
    absent = {place: write for place, write in writers(seed, sizes).items() if not (folder / place).is_file()}

    def write_one(place: str) -> None:
        absent[place](folder / place)
        say(f"Wrote {place}")

    with ThreadPoolExecutor(min(4, os.cpu_count())) as threads:
        list(threads.map(write_one, absent))
    if faces_can_be_read():
        from standins.faces import FixturePicture, make_face_models, upright_face

        make_face_models(folder, [FixturePicture(None, (upright_face(0.5, 0.34, 0.32),))])
    marker.write_text(made_of, encoding="utf-8")
    return folder

"""What is inverted: a model with its texts, and a picture in its latent space."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import comfy.samplers
import comfy.sd
import numpy as np
import torch
from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from pocket.checkpoint import checkpoint_tensors
from pocket.examples import example, example_caption
from pocket.kept import WEIGHTS
from pocket.world.render import render

POCKET_FILES = ("unet.safetensors", "taesd.safetensors")  # in WEIGHTS
PROMPT = "a photograph of an astronaut in an orange suit, smiling, in front of a flag"


@dataclass(frozen=True)
class Subject:
    """model: a MODEL. positive, negative: CONDITIONING. latent: LATENT, the picture, encoded.

    decode: latent samples (B, C, H, W) to pictures (B, H, W, 3), 0 .. 1.
    """

    model: object
    positive: list
    negative: list
    latent: dict
    decode: Callable[[Tensor], Tensor]

    def sigmas(self, steps: int) -> Tensor:
        """The normal schedule of the model, (steps + 1,), descending to 0."""
        return comfy.samplers.calculate_sigmas(self.model.get_model_object("model_sampling"), "normal", steps)

    def guider(self, cfg: float, negative: list | None = None):
        """The host's CFGGuider on the subject's texts; negative: another text for that side."""
        guider = comfy.samplers.CFGGuider(self.model)
        guider.set_conds(self.positive, self.negative if negative is None else negative)
        guider.set_cfg(cfg)
        return guider

    def batch_of(self, pictures: int) -> "Subject":
        """The same picture so many times."""
        latent = {"samples": self.latent["samples"].repeat(pictures, 1, 1, 1)}
        return Subject(self.model, self.positive, self.negative, latent, self.decode)


def from_checkpoint(path: Path, picture: np.ndarray, prompt: str) -> Subject:
    """An SDXL checkpoint and a picture. path: of the safetensors file. picture: (H, W, 3) uint8, RGB."""
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    pixels = torch.from_numpy(picture.astype(np.float32))[None] / 255

    def encode(text: str) -> list:
        return clip.encode_from_tokens_scheduled(clip.tokenize(text))

    return Subject(model, encode(prompt), encode(""), {"samples": vae.encode(pixels)}, vae.decode)


def astronaut(size: int) -> np.ndarray:
    """scikit-image's astronaut, (size, size, 3) uint8, RGB; PROMPT describes it."""
    from skimage import data

    return np.array(Image.fromarray(data.astronaut()).resize((size, size)))


def missing_pocket_weights() -> list[str]:
    """The files of the pocket world's model that the checkout lacks."""
    return [name for name in POCKET_FILES if not (WEIGHTS / name).is_file()]


def from_pocket_world() -> Subject:
    """The pocket world's model and a picture of that world which it was not trained on, 128 x 128 pixels."""
    parts = example(0, seed=9, split="heldout")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "pocket_sdxl.safetensors"
        save_file(checkpoint_tensors(*(load_file(WEIGHTS / name) for name in POCKET_FILES)), checkpoint)
        return from_checkpoint(checkpoint, render(*parts).pixels, example_caption(*parts))


def sample(guider, sampler, sigmas: Tensor, latent: dict) -> dict:
    """Sample from a LATENT as it is, by the host's SamplerCustomAdvanced with DisableNoise. Returns LATENT."""
    return SamplerCustomAdvanced.execute(DisableNoise.execute().result[0], guider, sampler, sigmas, latent).result[0]

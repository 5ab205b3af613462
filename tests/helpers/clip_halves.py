"""Small CLIPs in the files' real layouts, which the host's own loaders read as a CLIP_VISION and a CLIP."""

import json
from dataclasses import dataclass
from pathlib import Path

import comfy.clip_vision
import comfy.sd
import pytest
import torch
from comfy.text_encoders import long_clipl
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from helpers.paths import HOST

SIDE = 56  # pixels of the pictures that they read


@dataclass(frozen=True)
class Kind:
    """One of the CLIPs whose halves the host knows, by its layers: the real depth at a fraction of the width.

    name: of its text encoder in the host. width: of its space. text, vision: layers. activation: of both.
    """

    name: str
    width: int
    text: int
    vision: int
    activation: str = "gelu"

    @property
    def text_config(self) -> dict:
        """What is not as in the host's own configuration."""
        sizes = {"hidden_size": self.width, "intermediate_size": 48, "num_attention_heads": 4}
        return {**sizes, "num_hidden_layers": self.text}

    @property
    def vision_config(self) -> dict:
        """The same of the image half."""
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "image_size": SIDE}
        return {**sizes, "projection_dim": self.width}


L = Kind("clip_l", 64, text=3, vision=24, activation="quick_gelu")
H = Kind("clip_h", 80, text=24, vision=32)
G = Kind("clip_g", 96, text=32, vision=48)


def published(kind: Kind, seed: int = 0) -> CLIPModel:
    """transformers' CLIP of a kind, with random weights of half precision, in float32."""
    shared = {"hidden_act": kind.activation, "projection_dim": kind.width}
    special = {"bos_token_id": 49406, "eos_token_id": 49407, "vocab_size": 49408}
    vision = {**kind.vision_config, "num_hidden_layers": kind.vision, "patch_size": 14}
    text = {**kind.text_config, **special, **shared}
    config = CLIPConfig(text_config=text, vision_config={**vision, **shared}, projection_dim=kind.width)
    model = CLIPModel(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        inputs = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.data.normal_(0, max(inputs, 1) ** -0.5, generator=generator)
        parameter.data = parameter.data.half().float()
    return model.requires_grad_(False)


def write(model: CLIPModel, file: Path, without: str = "nothing") -> Path:
    """One file of both halves, as openai/clip-vit-large-patch14 is; `without` begins the names that it lacks."""
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items() if not name.startswith(without)}
    save_file(tensors, file)
    return file


def load_text(*files: Path, kinds: tuple[Kind, ...], kind: str = "STABLE_DIFFUSION") -> comfy.sd.CLIP:
    """What Load CLIP, or Load CLIP (Dual), gives for files of small text encoders. kind: the choice `type`."""
    options = {f"{one.name}_model_config": one.text_config for one in kinds}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_clipl, "model_options_long_clip", lambda _, tokenizer, options: (tokenizer, options))
        clip_type = getattr(comfy.sd.CLIPType, kind)
        return comfy.sd.load_clip([str(file) for file in files], clip_type=clip_type, model_options=options)


def load_image(file: Path, kind: Kind) -> comfy.clip_vision.ClipVisionModel:
    """What Load CLIP Vision gives for the file of a small image half."""
    whole = comfy.clip_vision.ClipVisionModel

    def narrow(config_file):
        config = json.loads(Path(config_file).read_text(encoding="utf-8"))
        assert config["num_hidden_layers"] == kind.vision and config["hidden_act"] == kind.activation
        return whole({**config, **kind.vision_config})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comfy.clip_vision, "ClipVisionModel", narrow)
        return comfy.clip_vision.load(str(file))


def published_scores(model: CLIPModel, images: torch.Tensor, text: str) -> list[float]:
    """CLIP-T as transformers computes it. images: (N, H, W, 3) of 256 levels, the shorter side SIDE."""
    tokenizer = CLIPTokenizer.from_pretrained(HOST / "comfy" / "sd1_tokenizer")
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    tokens = tokenizer(text, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    pixels = processor(list((images * 255).round().byte().numpy()), return_tensors="pt")
    logits = model(input_ids=tokens["input_ids"], pixel_values=pixels["pixel_values"]).logits_per_image
    return (logits[:, 0] / model.logit_scale.exp()).tolist()

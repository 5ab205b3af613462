"""A tiny CLIP as a folder of transformers' files, with the tokenizer that it needs: one token for each letter."""

import json
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SIDE, PATCH, LENGTH = 32, 8, 77
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = "abcdefghijklmnopqrstuvwxyz.,'"


def write_clip(folder: Path) -> Path:
    """Write model, tokenizer and processor. The model is random, from a fixed seed, and tells pictures apart."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), START, END]
    _write(folder / "vocab.json", {name: number for number, name in enumerate(names)})
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    special = {"unk_token": END, "bos_token": START, "eos_token": END, "pad_token": END}
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", **special})
    square = {"height": SIDE, "width": SIDE}
    resize = {"size": {"shortest_edge": SIDE}, "do_center_crop": True, "crop_size": square}
    write_processor(folder, image_processor_type="CLIPImageProcessor", **resize)
    text = {**SIZES, "vocab_size": len(names), "max_position_embeddings": LENGTH, "pad_token_id": 1}
    text |= {"bos_token_id": len(names) - 2, "eos_token_id": len(names) - 1}
    vision = {**SIZES, "image_size": SIDE, "patch_size": PATCH}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.logit_scale.data.fill_(4.6052)  # as in the published models: 100
    model.save_pretrained(folder)
    return folder


def write_processor(folder: Path, **more) -> None:
    """Write an image processor that takes pictures of SIDE pixels, with CLIP's mean and deviation."""
    about = {"size": {"height": SIDE, "width": SIDE}, "resample": 3, "image_mean": MEAN, "image_std": STD}
    _write(folder / "preprocessor_config.json", about | more)


def _write(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")

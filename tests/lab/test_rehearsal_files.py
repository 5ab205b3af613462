"""The rehearsal's files: the real names and shapes at real size, and what the stock loaders make of narrow ones."""

import logging
import os
import subprocess
import sys
from functools import partial

import comfy.controlnet
import comfy.model_detection
import comfy.sd
import pytest
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from helpers.lab import NARROW
from helpers.paths import CHECKOUT
from rehearsal import models, writing
from safetensors.torch import load_file
from standins.identity_net import draw_identity_net
from standins.lora import lora_tensors
from standins.sdxl import FULL, TINY, Size
from support_pack.tiny_sdxl import register_tiny_sdxl

from devtools.processes import SetupError

PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "clip": "conditioner.embedders."}


@pytest.fixture(scope="module")
def full():
    """The shapes of SDXL's checkpoint at its real size, by name."""
    return writing.shapes(models.draw_checkpoint)


def part(shapes, prefix):
    return {key.removeprefix(prefix): tuple(shape) for key, shape in shapes.items() if key.startswith(prefix)}


def shapes_of(module):
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def test_the_unet_is_what_the_host_takes_sdxl_to_be(full):
    tensors = {key: torch.empty(shape, dtype=torch.float16, device="meta") for key, shape in full.items()}
    found = comfy.model_detection.model_config_from_unet(tensors, PREFIXES["unet"])
    assert type(found) is comfy.supported_models.SDXL
    network = found.get_model(tensors, PREFIXES["unet"], device="meta").diffusion_model
    assert shapes_of(network) == part(full, PREFIXES["unet"])
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_567_463_684


def test_the_vae_has_the_names_and_shapes_of_the_hosts(full):
    with torch.device("meta"):
        config = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
        more = {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
        vae = AutoencoderKL(ddconfig=config | more, embed_dim=4)
    assert shapes_of(vae) == part(full, PREFIXES["vae"])


def test_the_text_encoders_are_as_large_as_clips(full):
    sizes = [
        sum(shape.numel() for key, shape in full.items() if key.startswith(f"conditioner.embedders.{n}."))
        for n in (0, 1)
    ]
    assert sizes == [123_060_480, 694_659_841]  # CLIP-L's text model; CLIP-G's with its logit scale


def test_identity_net_at_its_real_size():
    shapes = writing.shapes(partial(draw_identity_net, model_channels=FULL.channels[0]))
    assert len(shapes) == 844 and sum(shape.numel() for shape in shapes.values()) == 1_251_014_160


def test_the_lora_at_sdxls_own_depths():
    """Each linear layer of 70 attentions of both kinds, and of 44 layers of the text encoders."""
    narrow = Size(TINY.channels, FULL.depths, FULL.clip_layers, TINY.clip_hidden)
    names = [key for key in lora_tensors(size=narrow, rank=1) if key.endswith(".alpha")]
    assert sum(name.startswith("lora_unet_") for name in names) == 560
    assert sum(name.startswith("lora_te") for name in names) == 264


def draw(weights):
    """Everything that a drawing does: names, edits in place, constants."""
    weights.linear("first", 50, 60)
    weights.silence("first", slice(4))
    weights.norm("second", 7)
    weights.put("third", torch.tensor(4.5))


def test_a_file_holds_what_was_drawn_and_edited(tmp_path):
    path = tmp_path / "folder" / "drawn.safetensors"
    writing.write_safetensors(path, draw, seed=3, metadata={"format": "pt"})
    weights = writing.FastWeights(3)
    draw(weights)
    found = load_file(path)
    assert found.keys() == weights.tensors.keys()
    for key, tensor in weights.tensors.items():
        assert found[key].dtype == torch.float16 and torch.equal(found[key], tensor)
    assert not found["first.weight"][:4].any() and found["first.weight"][4:].all()
    assert list(tmp_path.rglob("*.*")) == [path]


def test_the_numbers_do_not_depend_on_the_processors(monkeypatch):
    monkeypatch.setattr(writing, "CHUNK", 100)
    drawn = []
    for processors in (1, 5):
        monkeypatch.setattr(os, "cpu_count", lambda count=processors: count)
        drawn.append(writing.FastWeights(1).draw(50, 30, std=2.0))
    assert torch.equal(*drawn)
    assert drawn[0].float().std() == pytest.approx(2, rel=0.05)
    assert len(drawn[0].unique()) > 1000  # no chunk repeats another
    assert not torch.equal(drawn[0], writing.FastWeights(2).draw(50, 30, std=2.0))


def test_a_name_that_is_drawn_twice_is_refused(tmp_path):
    def twice(weights):
        weights.normal("one", 2)
        weights.normal("one", 3)

    with pytest.raises(ValueError, match="one is drawn twice"):
        writing.write_safetensors(tmp_path / "twice.safetensors", twice, 0, {})


def test_what_was_not_finished_is_not_there(tmp_path):
    def breaks(weights):
        weights.normal("one", 2)
        if not isinstance(weights, writing.Shapes):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        writing.write_safetensors(tmp_path / "broken.safetensors", breaks, 0, {})
    assert not (tmp_path / "broken.safetensors").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A models folder of the rehearsal, narrow."""
    register_tiny_sdxl()
    return models.ensure_models(tmp_path_factory.mktemp("models"), 0, NARROW)


def test_the_stock_checkpoint_loader_finds_every_tensor(folder, caplog):
    with caplog.at_level(logging.DEBUG):
        _, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(folder / "checkpoints" / models.SDXL))
    words = ("missing", "unexpected", "left over", "leftover")
    found = [text for text in caplog.messages if any(word in text.lower() for word in words)]
    # What SDXL's own file lacks too, and no list of tensors that nothing took.
    assert {text for text in found if "[]" not in text} <= {
        "clip missing: ['clip_l.logit_scale', 'clip_l.transformer.text_projection.weight']"
    }
    pixels = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    latent = vae.encode(pixels)
    deviation = (latent * 0.13025).std()
    assert 0.3 < deviation < 3
    decoded = vae.decode(latent)
    assert decoded.shape == pixels.shape and 0.05 < decoded.std() < 0.45 and torch.isfinite(decoded).all()
    tokens = clip.tokenize("a photo of a man")
    assert torch.isfinite(clip.encode_from_tokens(tokens)).all()


def test_the_stock_controlnet_loader_finds_every_tensor(folder, caplog):
    with caplog.at_level(logging.DEBUG):
        control = comfy.controlnet.load_controlnet(str(folder / "controlnet" / models.IDENTITY_NET))
    assert not [text for text in caplog.messages if "keys" in text]
    assert control is not None


def test_every_layer_of_the_lora_has_its_place(folder, caplog):
    model, clip, _, _ = comfy.sd.load_checkpoint_guess_config(str(folder / "checkpoints" / models.SDXL))
    lora = load_file(folder / "loras" / models.LORA)
    patched, patched_clip = comfy.sd.load_lora_for_models(model, clip, lora, 1.0, 1.0)
    assert not [text for text in caplog.messages if "lora key not loaded" in text]
    assert len(patched.patches) + len(patched_clip.patcher.patches) == len(lora) / 3


def test_a_whole_folder_is_kept_and_another_seeds_is_not(folder, tmp_path, monkeypatch):
    written = []

    def fake(seed, sizes):
        return {"one.bin": lambda path: (written.append(seed), path.write_bytes(b"weights"))}

    monkeypatch.setattr(models, "writers", fake)
    monkeypatch.setattr(models, "faces_can_be_read", lambda: False)
    for seed in (0, 0, 1):
        models.ensure_models(tmp_path / "models", seed, NARROW)
    assert written == [0, 1]
    with pytest.raises(SetupError, match="other things"):
        models.ensure_models(tmp_path, 0, NARROW)
    (tmp_path / "models" / "one.bin").unlink()
    models.ensure_models(tmp_path / "models", 1, NARROW)
    assert written == [0, 1, 1]


def test_the_rehearsal_finds_what_it_uses_from_any_folder(tmp_path):
    """A process of its own, as here much is loaded already."""
    code = f"import sys; sys.path.insert(0, {str(CHECKOUT / 'lab')!r}); import rehearsal.host"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)

"""The stand-in files for identity methods are whole to the host's own loaders: no key is missing or left over."""

import logging

import comfy.controlnet
import comfy.lora
import comfy.sd
import comfy.sd1_clip
import pytest
import torch
from standins.embedding import make_embedding
from standins.identity_net import identity_net_tensors
from standins.lora import lora_tensors
from standins.sdxl import TINY, make_sdxl
from support_pack.tiny_sdxl import register_tiny_sdxl


@pytest.fixture(scope="module", autouse=True)
def registered():
    register_tiny_sdxl()


@pytest.mark.parametrize(("depths", "keys"), [((2, 10), 844), (TINY.depths[1:], None)], ids=["SDXL's depths", "tiny"])
def test_identity_net_loads_whole_in_diffusers_layout(depths, keys, caplog):
    tensors = identity_net_tensors(seed=1, depths=depths)
    assert keys is None or len(tensors) == keys
    expected = sum(tensor.numel() for tensor in tensors.values())
    with caplog.at_level(logging.DEBUG):
        control = comfy.controlnet.load_controlnet_state_dict(tensors)
    assert not [text for text in caplog.messages if "keys" in text]  # missing, unexpected or left over
    assert sum(parameter.numel() for parameter in control.control_model.parameters()) == expected
    # Told apart from what is ordinary by these alone: the context's width, and one attention layer for each of SDXL's.
    contexts = [
        module.to_k.in_features for name, module in control.control_model.named_modules() if name.endswith("attn2")
    ]
    assert contexts == [2048] * (2 * depths[0] + 3 * depths[1])


def test_every_tensor_of_the_lora_has_its_place(tmp_path, caplog):
    model, clip, _, _ = comfy.sd.load_checkpoint_guess_config(str(make_sdxl(tmp_path / "tiny_sdxl.safetensors")))
    lora = lora_tensors(seed=1)
    patched, patched_clip = comfy.sd.load_lora_for_models(model, clip, lora, 1.0, 1.0)
    assert not [text for text in caplog.messages if "lora key not loaded" in text]
    assert len(patched.patches) + len(patched_clip.patcher.patches) == len(lora) / 3
    assert len(patched.patches) == 11 * 8


def test_the_embedding_is_read_by_both_text_encoders(tmp_path):
    make_embedding(tmp_path / "tiny_person.safetensors")
    for key, width in (("clip_l", 768), ("clip_g", 1280)):
        loaded = comfy.sd1_clip.load_embed("tiny_person", [str(tmp_path)], width, key)
        assert loaded.shape == (4, width) and torch.isfinite(loaded).all()

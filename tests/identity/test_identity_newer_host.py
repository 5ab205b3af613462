"""Newer hosts, simulated: what they hand on to attention, what their vision tower keeps, which names they drop."""

import comfy.clip_model
import comfy.clip_vision
import pytest
import torch
from comfy.ldm.modules import attention
from customenhancer.identity.instantid_attention import Face, add_decoupled_attention, face_key, put_face
from customenhancer.identity.photomaker import encode_prompt, load_photomaker
from standins.instantid_host import predict, text
from standins.photomaker import encoder_tensors, lora_tensors, make_photomaker
from standins.photomaker_host import sdxl_clip, sdxl_model

WIDTHS = [64] * 4 + [128] * 50 + [64] * 6 + [128] * 10


def coarse(q, k, v, heads, **_):
    """As attention on int8 numbers: near the exact result, and not the same."""
    rounded = ((tensor * 16).round() / 16 for tensor in (q, k, v))
    return attention.attention_basic(*rounded, heads)


@pytest.fixture
def model(monkeypatch):
    """A MODEL whose cross-attentions prefer an implementation of their own, which the host's class hands on.

    After ComfyUI's pull request 16419: `optimized_attention` takes a preferred implementation as an argument.
    """
    model = sdxl_model(seed=1)
    model.preferred = []

    def preferred(*args, **kwargs):
        model.preferred.append(args[1].shape[1])  # the length of what is attended to
        return coarse(*args, **kwargs)

    def forward(self, x, context=None, value=None, mask=None, transformer_options=None):
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context if value is None else value)
        attend = getattr(self, "comfy_attention", attention.optimized_attention)
        return self.to_out(attend(q, k, v, self.heads, transformer_options=transformer_options))

    for module in model.model.diffusion_model.modules():
        if isinstance(module, attention.BasicTransformerBlock):
            module.attn2.comfy_attention = preferred
            monkeypatch.setattr(module.attn1, "forward", module.attn1.forward)  # self-attention as it was
    monkeypatch.setattr(attention.CrossAttention, "forward", forward)
    return model


def face(scale: float) -> Face:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(1, 16, 2048, generator=generator)
    return Face(tokens, torch.randn(2, 16, sum(WIDTHS), generator=generator) * 3, scale, 0.0, 1.0, None)


def test_a_preferred_attention_is_used_for_the_text_and_for_the_face(model):
    patched = add_decoupled_attention(model, WIDTHS)
    plain = predict(model, text(1))
    assert model.preferred == [77] * 70
    for conditioning in (text(1), put_face(text(1), face(0.0), face_key())):
        assert torch.equal(predict(patched, conditioning), plain)
    model.preferred.clear()
    assert not torch.equal(predict(patched, put_face(text(1), face(0.8), face_key())), plain)
    assert model.preferred == [77, 16] * 70


def test_without_a_face_whatever_a_newer_layer_does_is_left_to_it(monkeypatch):
    """The layers are not replaced, so nothing needs to be known of them."""
    model = sdxl_model(seed=1)
    patched = add_decoupled_attention(model, WIDTHS)
    block_forward = attention.BasicTransformerBlock.forward
    replaced = []

    def forward(self, x, context=None, transformer_options=None):
        replaced.append(bool(transformer_options.get("patches_replace", {}).get("attn2")))
        return block_forward(self, x, context, transformer_options)

    monkeypatch.setattr(attention.BasicTransformerBlock, "forward", forward)
    for conditioning, expected in ((text(1), False), (put_face(text(1), face(0.8), face_key()), True)):
        replaced.clear()
        predict(patched, conditioning)
        assert replaced == [expected] * 70


class NewerVision(comfy.clip_model.CLIPVision):
    """The host's vision tower with what is no weight: a buffer, and state of another kind."""

    def __init__(self, *args):
        super().__init__(*args)
        self.register_buffer("position_ids", torch.arange(257))

    def get_extra_state(self):
        return torch.tensor([2])

    def set_extra_state(self, state):
        raise AssertionError("no file has it")


class OtherVision(comfy.clip_model.CLIPVision):
    """A vision tower with a weight that PhotoMaker's files do not hold."""

    def __init__(self, *args):
        super().__init__(*args)
        self.register_tokens = torch.nn.Parameter(torch.zeros(4))


def test_what_a_newer_vision_tower_keeps_beside_its_weights_may_be_missing_in_a_file(tmp_path, monkeypatch):
    path, clip = str(make_photomaker(tmp_path / "v1.bin", seed=7)), sdxl_clip(seed=31)
    people = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    now = encode_prompt(load_photomaker(path), clip, people, "a photo of a man img", "img")[0]
    monkeypatch.setattr(comfy.clip_model, "CLIPVision", NewerVision)
    newer = load_photomaker(path)
    assert "vision_model.position_ids" in newer.patcher.model.state_dict()
    assert torch.equal(newer.patcher.model.vision_model.position_ids, torch.arange(257))
    then = encode_prompt(newer, clip, people, "a photo of a man img", "img")[0]
    assert torch.equal(then[0][0], now[0][0])


@pytest.mark.parametrize("vision", [comfy.clip_model.CLIPVision, NewerVision])
@pytest.mark.parametrize(
    "change",
    [
        lambda encoder: encoder.pop("vision_model.post_layernorm.weight"),
        lambda encoder: encoder.update({"vision_model.other": torch.zeros(1)}),
        lambda encoder: encoder.update({"vision_model.position_ids": torch.zeros(3)}),
        lambda encoder: encoder.update({"vision_model.pre_layrnorm.weight": torch.zeros(63)}),
    ],
    ids=["missing", "surplus", "buffer of another shape", "weight of another shape"],
)
def test_wrong_files_are_refused_as_before(tmp_path, monkeypatch, vision, change):
    encoder = encoder_tensors(seed=7)
    change(encoder)
    torch.save({"id_encoder": encoder, "lora_weights": lora_tensors()}, tmp_path / "v1.bin")
    monkeypatch.setattr(comfy.clip_model, "CLIPVision", vision)
    with pytest.raises(
        ValueError, match=r"^photomaker_name: .*tensors missing, surplus or of a wrong shape: 1, such as"
    ):
        load_photomaker(str(tmp_path / "v1.bin"))


def test_a_weight_that_a_newer_tower_needs_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(comfy.clip_model, "CLIPVision", OtherVision)
    with pytest.raises(ValueError, match="1, such as vision_model.register_tokens"):
        load_photomaker(str(make_photomaker(tmp_path / "v1.bin")))


def test_clips_preparation_is_taken_from_where_newer_hosts_keep_it(tmp_path, monkeypatch):
    """`comfy.clip_vision` has it as an alias, which is marked for removal."""
    monkeypatch.delattr(comfy.clip_vision, "clip_preprocess", raising=False)
    people = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    photomaker = load_photomaker(str(make_photomaker(tmp_path / "v1.bin")))
    assert encode_prompt(photomaker, sdxl_clip(seed=31), people, "a photo of a man img", "img")

"""The PhotoMaker encoders against transformers' CLIP, diffusers' perceiver, and the fuse module in plain torch."""

import re
from functools import partial

import comfy.ops
import pytest
import torch
import torch.nn.functional as F
from customenhancer.identity.photomaker_encoder import PhotoMakerEncoder, PhotoMakerV2Encoder
from customenhancer.identity.tensor_files import misfits
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection
from standins.photomaker import encoder_tensors, perceiver_tensors
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

# The names of PhotoMaker V2's perceiver, as patterns, and diffusers' names for the same.
RENAMED = {
    r"^token_proj\.0": "proj.net.0.proj",
    r"^token_proj\.2": "proj.net.2",
    r"^token_norm": "norm",
    r"^perceiver_resampler\.": "",
    r"^(layers\.\d+)\.0\.norm1": r"\1.ln0",
    r"^(layers\.\d+)\.0\.norm2": r"\1.ln1",
    r"^(layers\.\d+)\.0\.(to_q|to_kv)": r"\1.attn.\2",
    r"^(layers\.\d+)\.0\.to_out": r"\1.attn.to_out.0",
    r"^(layers\.\d+)\.1\.0": r"\1.ff.0",
    r"^(layers\.\d+)\.1\.1": r"\1.ff.1.net.0.proj",
    r"^(layers\.\d+)\.1\.3": r"\1.ff.1.net.2",
}


def fuse_reference(tensors, text, identity):
    """LN(mlp2(mlp1(cat(text, identity)) + text)), mlp2 residual, on the file's own tensors."""

    def layer(name, x, function):
        return function(x, tensors[f"fuse_module.{name}.weight"], tensors[f"fuse_module.{name}.bias"])

    def norm(x, weight, bias):
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    def mlp(name, x):
        hidden = F.gelu(layer(f"{name}.fc1", layer(f"{name}.layernorm", x, norm), F.linear))
        return layer(f"{name}.fc2", hidden, F.linear)

    x = mlp("mlp1", torch.cat([text, identity], dim=-1)) + text
    return layer("layer_norm", mlp("mlp2", x) + x, norm)


def clip_reference(tensors, pixels):
    """What transformers' CLIP makes of pixels: projected, pooled and hidden; sizes read from the tensors."""
    hidden, _, patch, _ = tensors["vision_model.embeddings.patch_embedding.weight"].shape
    config = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=tensors["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=sum(key.endswith("layer_norm1.weight") for key in tensors),
        num_attention_heads=hidden // 64,
        image_size=pixels.shape[-1],
        patch_size=patch,
        projection_dim=tensors["visual_projection.weight"].shape[0],
        attn_implementation="eager",
    )
    with torch.device("meta"):
        clip = CLIPVisionModelWithProjection(config).eval()
    faults = clip.load_state_dict(tensors, strict=False, assign=True)
    assert not faults.missing_keys
    embeddings = clip.vision_model.embeddings  # the one buffer that no file holds
    embeddings.position_ids = torch.arange(embeddings.num_positions)[None]
    hidden = clip.vision_model(pixels)
    return clip.visual_projection(hidden.pooler_output), hidden.pooler_output, hidden.last_hidden_state


def identity_reference(tensors, pixels):
    """V1: cat(projection, projection_2) of the pooled class token."""
    projected, pooled, _ = clip_reference(tensors, pixels)
    return torch.cat([projected, F.linear(pooled, tensors["visual_projection_2.weight"])], dim=-1)


def identity_reference_v2(tensors, pixels, faces):
    """V2: diffusers' perceiver over transformers' CLIP before its last norm; a picture's two tokens side by side."""
    part = {
        key.removeprefix("qformer_perceiver."): tensor
        for key, tensor in tensors.items()
        if key.startswith("qformer_perceiver.")
    }
    width, hidden = part["perceiver_resampler.proj_in.weight"].shape
    inner = part["perceiver_resampler.layers.0.0.to_q.weight"].shape[0]
    with torch.device("meta"):
        perceiver = IPAdapterFaceIDPlusImageProjection(
            embed_dims=width,
            output_dims=width,
            hidden_dims=hidden,
            depth=sum(key.endswith("to_q.weight") for key in part),
            dim_head=128,
            heads=inner // 128,
            num_tokens=2,
            ffn_ratio=part["perceiver_resampler.layers.0.1.1.weight"].shape[0] / width,
            ffproj_ratio=part["token_proj.0.weight"].shape[0] / 512,
        )
    perceiver.shortcut = True
    renamed = {}
    for key, tensor in part.items():
        for theirs, diffusers in RENAMED.items():
            key = re.sub(theirs, diffusers, key)
        if key.endswith("to_kv.weight"):
            renamed[key.replace("to_kv", "to_k")], renamed[key.replace("to_kv", "to_v")] = tensor.chunk(2)
        else:
            renamed[key] = tensor
    perceiver.load_state_dict(renamed, assign=True)
    perceiver.clip_embeds = clip_reference(tensors, pixels)[2][:, None]
    return perceiver.eval()(faces).flatten(0, 1)


@pytest.mark.parametrize(
    "sizes",
    [{}, {"hidden": 128, "layers": 3}, {"hidden": 192, "layers": 1, "patch": 16, "image_size": 96}],
    ids=["small", "two_heads", "other_patch"],
)
@torch.no_grad()
def test_encoder_equals_transformers_clip_at_the_sizes_of_the_file(sizes):
    tensors = {key: tensor.float() for key, tensor in encoder_tensors(seed=3, **sizes).items()}
    encoder = PhotoMakerEncoder(tensors, torch.device("cpu"), comfy.ops.manual_cast)
    encoder.load_state_dict(tensors)
    assert encoder.image_size == sizes.get("image_size", 224)
    pixels = torch.randn(3, 3, encoder.image_size, encoder.image_size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(encoder(pixels), identity_reference(tensors, pixels), rtol=0, atol=1e-5)


@torch.no_grad()
def test_fuse_module_equals_its_formula():
    tensors = {key: tensor.float() for key, tensor in encoder_tensors(seed=4).items()}
    encoder = PhotoMakerEncoder(tensors, torch.device("cpu"), comfy.ops.manual_cast)
    encoder.load_state_dict(tensors)
    text, identity = torch.randn(2, 5, 2048, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        encoder.fuse_module(text, identity), fuse_reference(tensors, text, identity), rtol=0, atol=1e-5
    )


def some_faces(count: int) -> torch.Tensor:
    """Raw embeddings, of about the length that a recogniser's have."""
    return torch.randn(count, 512, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("sizes", [{}, {"inner": 384, "layers": 3, "feed": 96, "proj": 128}], ids=["small", "3 heads"])
@torch.no_grad()
def test_v2_equals_diffusers_perceiver_over_transformers_clip(sizes):
    tensors = {key: tensor.float() for key, tensor in {**encoder_tensors(3), **perceiver_tensors(5, **sizes)}.items()}
    encoder = PhotoMakerV2Encoder(tensors, torch.device("cpu"), comfy.ops.manual_cast)
    encoder.load_state_dict(tensors)
    assert (encoder.tokens_per_image, encoder.face_width) == (2, 512)
    pixels = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    ours, expected = encoder(pixels, some_faces(3)), identity_reference_v2(tensors, pixels, some_faces(3))
    assert ours.shape == (6, 2048)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_both_versions_equal_the_references_at_the_real_files_sizes(measured):
    """ViT-L/14 and the perceiver of 543 million parameters, on random weights; V1's tensors are those without it."""
    tensors = encoder_tensors(seed=6, hidden=1024, layers=24)
    perceiver = perceiver_tensors(seed=7, hidden=1024, layers=4, inner=2048, feed=8192, proj=2048)
    tensors, perceiver = ({key: tensor.float() for key, tensor in part.items()} for part in (tensors, perceiver))
    assert len(tensors) == 407 and sum(map(torch.numel, tensors.values())) == 326_273_024
    both = {**tensors, **perceiver}
    assert len(both) == 463 and sum(map(torch.numel, both.values())) == 543_395_840
    assert not misfits(partial(PhotoMakerEncoder, tensors), tensors)
    assert not misfits(partial(PhotoMakerV2Encoder, both), both)

    pixels, faces = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1)), some_faces(1)
    text = torch.randn(2, 2048, generator=torch.Generator().manual_seed(2))
    for version, encoder_class, state, inputs, reference in (
        ("V1", PhotoMakerEncoder, tensors, (pixels,), identity_reference),
        ("V2", PhotoMakerV2Encoder, both, (pixels, faces), identity_reference_v2),
    ):
        encoder = encoder_class(state, "meta", comfy.ops.manual_cast)
        encoder.load_state_dict(state, assign=True)
        identity, expected = encoder(*inputs), reference(state, *inputs)
        assert expected.std() > 0.1  # a signal is there to compare
        difference = (identity - expected).abs().max()
        measured(f"PhotoMaker {version} encoder, real size, against the references: max abs difference", difference)
        assert difference <= 1e-4
        fused = encoder.fuse_module(text[: len(identity)], identity)
        difference = (fused - fuse_reference(state, text[: len(identity)], expected)).abs().max()
        measured(f"PhotoMaker {version} fuse, real size, against the references: max abs difference", difference)
        assert difference <= 1e-4
        assert encoder.vision_model.encoder.layers[0].self_attn.heads == 16 and encoder.image_size == 224


def test_misfits_names_what_does_not_belong():
    tensors = encoder_tensors(seed=5)
    assert misfits(partial(PhotoMakerEncoder, tensors), tensors) == []
    tensors["fuse_module.mlp1.fc1.weight"] = tensors["fuse_module.mlp1.fc1.weight"][:, :-1]
    tensors["surplus"] = torch.zeros(1)
    del tensors["vision_model.encoder.layers.1.layer_norm2.bias"]
    assert misfits(partial(PhotoMakerEncoder, tensors), tensors) == [
        "fuse_module.mlp1.fc1.weight",
        "surplus",
        "vision_model.encoder.layers.1.layer_norm2.bias",
    ]

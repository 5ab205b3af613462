"""The PhotoMaker encoder against transformers' CLIP, and against its fuse module written out in plain torch."""

import comfy.ops
import pytest
import torch
import torch.nn.functional as F
from customenhancer.identity.photomaker_encoder import PhotoMakerEncoder, shape_faults
from standins.photomaker import encoder_tensors
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection


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


def identity_reference(tensors, pixels):
    """cat(projection, projection_2) of the pooled class token of transformers' CLIP, sizes read from the tensors."""
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
    clip = CLIPVisionModelWithProjection(config).eval()
    faults = clip.load_state_dict(tensors, strict=False)
    assert not faults.missing_keys
    out = clip(pixels)
    pooled = clip.vision_model(pixels).pooler_output
    return torch.cat([out.image_embeds, F.linear(pooled, tensors["visual_projection_2.weight"])], dim=-1)


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


def test_real_sizes_give_the_real_files_count_of_tensors_and_parameters():
    fc1 = torch.empty(4096, 1024, device="meta")
    layers = {f"vision_model.encoder.layers.{i}.mlp.fc1.weight": fc1 for i in range(24)}
    sizes = {
        "vision_model.embeddings.patch_embedding.weight": torch.empty(1024, 3, 14, 14, device="meta"),
        "vision_model.embeddings.position_embedding.weight": torch.empty(257, 1024, device="meta"),
        "visual_projection.weight": torch.empty(768, 1024, device="meta"),
        "fuse_module.layer_norm.weight": torch.empty(2048, device="meta"),
    }
    with torch.device("meta"):
        encoder = PhotoMakerEncoder(layers | sizes, "meta", torch.nn)
    tensors = encoder.state_dict()
    assert len(tensors) == 407
    assert sum(tensor.numel() for tensor in tensors.values()) == 326_273_024
    assert encoder.vision_model.encoder.layers[0].self_attn.heads == 16
    assert encoder.image_size == 224


def test_shape_faults_names_what_does_not_belong():
    tensors = encoder_tensors(seed=5)
    assert shape_faults(tensors) == []
    tensors["fuse_module.mlp1.fc1.weight"] = tensors["fuse_module.mlp1.fc1.weight"][:, :-1]
    tensors["surplus"] = torch.zeros(1)
    del tensors["vision_model.encoder.layers.1.layer_norm2.bias"]
    assert shape_faults(tensors) == [
        "fuse_module.mlp1.fc1.weight",
        "surplus",
        "vision_model.encoder.layers.1.layer_norm2.bias",
    ]

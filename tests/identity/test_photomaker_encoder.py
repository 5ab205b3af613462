"""The PhotoMaker encoders against transformers' CLIP, diffusers' perceiver, and the fuse module in plain torch."""

from functools import partial

import comfy.ops
import pytest
import torch
from customenhancer.identity.photomaker_encoder import PhotoMakerEncoder, PhotoMakerV2Encoder
from customenhancer.identity.tensor_files import misfits
from helpers.photomaker_references import fuse_reference, identity_reference, identity_reference_v2
from standins.photomaker import encoder_tensors, perceiver_tensors


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

"""InstantID's file and adapter: against diffusers' modules, at the real sizes, and files that are something else."""

from functools import partial

import comfy.ops
import folder_paths
import pytest
import safetensors.torch
import torch
from customenhancer.identity.instantid import encode_faces, find_instantid, load_instantid
from customenhancer.identity.instantid_adapter import InstantIDAdapter
from customenhancer.identity.tensor_files import misfits
from customenhancer.nodes.instantid import InstantIDLoaderNode
from diffusers.loaders.unet import UNet2DConditionLoadersMixin
from standins.instantid import adapter_tensors, instantid_tensors, make_instantid, resampler_tensors
from standins.photomaker import encoder_tensors, lora_tensors


def in_float(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: tensor.float() for key, tensor in tensors.items()}


def adapter_of(parts) -> InstantIDAdapter:
    adapter = InstantIDAdapter(*parts.values(), torch.device("cpu"), comfy.ops.manual_cast)
    adapter.load_state_dict({f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()})
    return adapter


def tokens_by_diffusers(image_proj, embedding):
    """The tokens by diffusers' own resampler, which diffusers' own loader fills from the file's names."""
    reference = UNet2DConditionLoadersMixin()._convert_ip_adapter_image_proj_to_diffusers(dict(image_proj))
    return reference.eval()(embedding[:, None])


@torch.no_grad()
def test_tokens_equal_diffusers_resampler(measured):
    parts = {name: in_float(part) for name, part in instantid_tensors(seed=3, depths=(1, 1), width=192).items()}
    embedding = torch.randn(3, 512, generator=torch.Generator().manual_seed(1)) * 20
    tokens, _ = adapter_of(parts)(embedding)
    expected = tokens_by_diffusers(parts["image_proj"], embedding)
    measured("InstantID resampler, small, against diffusers: max abs difference", (tokens - expected).abs().max())
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_tokens_equal_diffusers_resampler_at_the_real_size(measured):
    parts = {"image_proj": in_float(resampler_tensors(seed=4, width=1280)), "ip_adapter": in_float(adapter_tensors(5))}
    assert len(parts["image_proj"]) == 51
    assert sum(tensor.numel() for tensor in parts["image_proj"].values()) == 81_978_624
    embedding = torch.randn(2, 512, generator=torch.Generator().manual_seed(1)) * 20
    tokens, _ = adapter_of(parts)(embedding)
    expected = tokens_by_diffusers(parts["image_proj"], embedding)
    measured("InstantID resampler, real size, against diffusers: max abs difference", (tokens - expected).abs().max())
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-4)


def test_the_real_adapter_has_70_layers():
    tensors = {
        f"{number}.{name}": torch.empty(width, 2048, device="meta")
        for number, width in zip(range(1, 140, 2), [640] * 4 + [1280] * 50 + [640] * 6 + [1280] * 10, strict=True)
        for name in ("to_k_ip.weight", "to_v_ip.weight")
    }
    with torch.device("meta"):
        image_proj = {key: tensor.to("meta") for key, tensor in resampler_tensors(width=1280).items()}
        adapter = InstantIDAdapter(image_proj, tensors, "meta", torch.nn)
    assert len(adapter.ip_adapter) == 70 and adapter.widths.count(1280) == 60 and adapter.widths.count(640) == 10
    assert adapter.image_proj.layers[0][0].heads == 20
    weights = {f"image_proj.{key}": tensor for key, tensor in image_proj.items()}
    weights |= {f"ip_adapter.{key}": tensor for key, tensor in tensors.items()}
    assert not misfits(partial(InstantIDAdapter, image_proj, tensors), weights)
    # The stand-in keeps the file's order of layers at a tenth of the width.
    small = adapter_tensors()
    assert [small[f"{number}.to_k_ip.weight"].shape[0] * 10 for number in range(1, 140, 2)] == adapter.widths


@torch.no_grad()
def test_keys_and_values_are_those_of_each_layer_side_by_side():
    parts = {name: in_float(part) for name, part in instantid_tensors(seed=6, depths=(1, 1)).items()}
    adapter = adapter_of(parts)
    tokens, keys_values = adapter(torch.randn(2, 512))
    start = sum(adapter.widths[:4])
    expected = torch.nn.functional.linear(tokens, parts["ip_adapter"]["9.to_v_ip.weight"])
    assert torch.equal(keys_values[:, 1, :, start : start + adapter.widths[4]], expected)


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_both_layouts_load_the_same(tmp_path, suffix):
    instantid = load_instantid(str(make_instantid(tmp_path / f"any_name{suffix}", seed=7, depths=(1, 1))))
    expected = instantid_tensors(7, depths=(1, 1))
    state = instantid.patcher.model.state_dict()
    assert len(state) == sum(map(len, expected.values()))
    for name, tensors in expected.items():
        assert all(torch.equal(state[f"{name}.{key}"], tensor) for key, tensor in tensors.items())
    assert instantid.patcher.model_size() > 0  # the host's memory management counts it


def test_the_mean_of_the_references_counts_and_nobody_is_the_zero_embedding(tmp_path):
    instantid = load_instantid(str(make_instantid(tmp_path / "a.safetensors", depths=(1, 1))))
    embeddings = torch.randn(3, 512, generator=torch.Generator().manual_seed(2)) * 20
    (tokens, _), (nobody, _) = encode_faces(instantid, embeddings)
    assert tokens.shape == nobody.shape == (1, 16, 2048)
    torch.testing.assert_close(encode_faces(instantid, embeddings.mean(0, keepdim=True))[0][0], tokens)
    with torch.no_grad():
        torch.testing.assert_close(instantid.patcher.model(torch.zeros(1, 512))[0], nobody)


def test_embeddings_of_another_width_are_refused(tmp_path):
    instantid = load_instantid(str(make_instantid(tmp_path / "a.safetensors", depths=(1, 1))))
    with pytest.raises(ValueError, match=r"^face_analysis: its embeddings are 256 wide, and InstantID reads 512"):
        encode_faces(instantid, torch.zeros(1, 256))


def without(part: str, key: str):
    parts = instantid_tensors(depths=(1, 1))
    del parts[part][key]
    return parts


def plus_face():
    """IP-Adapter Plus Face: the same layout, for the image embeddings of CLIP."""
    parts = instantid_tensors(depths=(1, 1))
    parts["image_proj"]["proj_in.weight"] = torch.zeros(128, 1280)
    return parts


WRONG = {
    "an IP-Adapter of another kind": (
        lambda: {"image_proj": {"proj.weight": torch.zeros(8192, 1024)}, "ip_adapter": adapter_tensors(depths=(1, 1))},
        "it has no proj_in.weight",
    ),
    "an IP-Adapter Plus": (plus_face, "reads embeddings 1280 wide"),
    "half a file": (lambda: {"image_proj": resampler_tensors(), "ip_adapter": {}}, "it has no ip_adapter"),
    "a PhotoMaker": (lambda: {"id_encoder": encoder_tensors(), "lora_weights": lora_tensors()}, "it has no image_proj"),
    "a tensor missing": (lambda: without("ip_adapter", "3.to_v_ip.weight"), "1, such as ip_adapter.3.to_v_ip.weight"),
    "a layer's key missing": (lambda: without("ip_adapter", "3.to_k_ip.weight"), "it has no 3.to_k_ip.weight"),
    "latents missing": (lambda: without("image_proj", "latents"), "it has no latents"),
    "no tensors": (lambda: {"image_proj": {"a": 1}, "ip_adapter": {}}, "it has no image_proj"),
    "a list": (lambda: [1, 2], "it has no image_proj"),
}


@pytest.mark.parametrize("what", WRONG)
def test_other_files_are_refused_with_the_keys_that_were_expected(tmp_path, what):
    make, reason = WRONG[what]
    torch.save(make(), tmp_path / "ip-adapter.bin")
    with pytest.raises(ValueError, match=r"^instantid_name: .*is not InstantID's adapter: ") as error:
        load_instantid(str(tmp_path / "ip-adapter.bin"))
    assert reason in str(error.value) and "Expected: the parts image_proj and ip_adapter" in str(error.value)


def test_a_damaged_file_is_refused(tmp_path):
    path = make_instantid(tmp_path / "a.safetensors", depths=(1, 1))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"^instantid_name: .*damaged, cut short"):
        load_instantid(str(path))


def test_a_file_of_flat_tensors_is_refused(tmp_path):
    safetensors.torch.save_file({"unet.a": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match=r"it begins with unet\.a\. Download ip-adapter\.bin"):
        load_instantid(str(tmp_path / "lora.safetensors"))


def test_every_registered_folder_is_searched(tmp_path, monkeypatch):
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "instantid", (folders, {".bin", ".safetensors"}))
    path = make_instantid(tmp_path / "b" / "ip-adapter.bin", depths=(1, 1))
    assert find_instantid("ip-adapter.bin") == str(path)
    assert InstantIDLoaderNode.validate_inputs("ip-adapter.bin") is True
    assert InstantIDLoaderNode.validate_inputs(None) is True
    refused = InstantIDLoaderNode.validate_inputs("absent.bin")
    assert refused.startswith("instantid_name: absent.bin is not in ") and all(folder in refused for folder in folders)

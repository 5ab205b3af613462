"""PhotoMaker files: three layouts of one content, and everything that is not one of them."""

import os

import folder_paths
import pytest
import safetensors.torch
import torch
from customenhancer.faces.known_files import PHOTOMAKER_V1
from customenhancer.identity.photomaker import load_photomaker
from customenhancer.identity.photomaker_encoder import PhotoMakerEncoder, PhotoMakerV2Encoder
from customenhancer.nodes.photomaker import PhotoMakerLoaderNode
from standins.photomaker import encoder_tensors, lora_tensors, make_photomaker, perceiver_tensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("photomaker")


@pytest.fixture(scope="module")
def standin(folder):
    return make_photomaker(folder / "photomaker-v1.bin", seed=7)


def write(path, encoder, lora):
    """A file in the layout without a prefix."""
    safetensors.torch.save_file({**encoder, **lora}, path)
    return path


def test_three_layouts_load_the_same(folder, standin):
    parts = torch.load(standin, weights_only=True)
    prefixed = make_photomaker(folder / "photomaker-v1.safetensors", seed=7)
    unprefixed = write(folder / "unprefixed.safetensors", parts["id_encoder"], parts["lora_weights"])
    first = load_photomaker(str(standin))
    for path in (prefixed, unprefixed):
        other = load_photomaker(str(path))
        torch.testing.assert_close(other.lora, first.lora, rtol=0, atol=0)
        torch.testing.assert_close(other.patcher.model.state_dict(), first.patcher.model.state_dict(), rtol=0, atol=0)


def test_standin_is_made_the_same_from_the_same_seed(tmp_path, standin):
    again = make_photomaker(tmp_path / standin.name, seed=7)
    assert again.read_bytes() == standin.read_bytes()
    assert standin.stat().st_size < 60e6


def test_weights_are_those_of_the_file_and_stay_its_dtype(standin):
    photomaker = load_photomaker(str(standin))
    parts = torch.load(standin, weights_only=True)
    loaded = photomaker.patcher.model.state_dict()
    assert loaded.keys() == parts["id_encoder"].keys()
    assert all(torch.equal(loaded[key].float(), tensor.float()) for key, tensor in parts["id_encoder"].items())
    assert loaded["fuse_module.mlp1.fc1.weight"].dtype == torch.float16
    assert photomaker.lora.keys() == parts["lora_weights"].keys()


def test_constant_of_older_transformers_is_ignored(folder):
    encoder = encoder_tensors(seed=1)
    encoder["vision_model.embeddings.position_ids"] = torch.arange(257)[None]
    path = write(folder / "position_ids.safetensors", encoder, lora_tensors(seed=1))
    assert load_photomaker(str(path)).patcher.model.image_size == 224


class Bomb:
    """Runs a command when a careless reader opens its pickle."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])
def test_pickled_code_is_refused_and_never_runs(tmp_path, new_format):
    path = tmp_path / "photomaker-v1.bin"
    content = {"id_encoder": {}, "lora_weights": Bomb(tmp_path / "exploded")}
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(ValueError, match=r"^photomaker_name: .*photomaker-v1.bin holds code .*TencentARC/PhotoMaker"):
        load_photomaker(str(path))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_truncated_file_is_refused(tmp_path, folder, standin, suffix, kept):
    whole = standin.with_suffix(suffix)
    whole = whole if whole.exists() else make_photomaker(whole, seed=7)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole.read_bytes()[: int(kept * whole.stat().st_size)])
    with pytest.raises(ValueError, match=r"^photomaker_name: .*cut.* cannot be read.*cut short.*photomaker-v1\.bin"):
        load_photomaker(str(path))


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"version https://git-lfs.github.com", b"\x80\x02."])
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_another_kind_of_file_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"page{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^photomaker_name: .*page.* cannot be read"):
        load_photomaker(str(path))


@pytest.mark.parametrize(
    "content, message",
    [
        ([torch.zeros(1), torch.zeros(1)], "it begins with nothing"),
        ({}, "it begins with nothing"),
        ({1: 2, "a": torch.zeros(1)}, "begins with 1, a"),
        ({"image_proj": {"latents": torch.zeros(1)}, "ip_adapter": {}}, "begins with image_proj, ip_adapter"),
        ({"id_encoder": torch.zeros(1), "lora_weights": {}}, "patch_embedding.weight"),
        ({"id_encoder": {"visual_projection.weight": 3}, "lora_weights": {}}, "patch_embedding.weight"),
        (lora_tensors(), "patch_embedding.weight"),
    ],
    ids=["list", "empty", "numbers", "instantid", "no_dict", "no_tensor", "lora_alone"],
)
def test_file_of_other_content_is_refused_with_the_expected_keys(tmp_path, content, message):
    path = tmp_path / "other.bin"
    torch.save(content, path)
    with pytest.raises(ValueError, match=message) as refusal:
        load_photomaker(str(path))
    assert str(refusal.value).startswith(f"photomaker_name: {path} is not a PhotoMaker file")
    assert "Expected: the keys id_encoder and lora_weights" in str(refusal.value)
    assert PHOTOMAKER_V1.link in str(refusal.value)


def test_incomplete_and_misshapen_encoders_are_refused(tmp_path):
    encoder, lora = encoder_tensors(), lora_tensors()

    def refusal(encoder, lora):
        with pytest.raises(ValueError, match=r"^photomaker_name: .*not a PhotoMaker file") as error:
            load_photomaker(str(write(tmp_path / "broken.safetensors", encoder, lora)))
        return str(error.value)

    name = "vision_model.encoder.layers.1.self_attn.q_proj.weight"
    without = {key: tensor for key, tensor in encoder.items() if key != name}
    assert f"tensors missing, surplus or of a wrong shape: 1, such as {name}" in refusal(without, lora)
    assert f"such as {name}" in refusal({**encoder, name: torch.zeros(2, 2)}, lora)
    projection = "visual_projection.weight"
    assert "do not belong together" in refusal({**encoder, projection: torch.zeros(4000, 64)}, lora)
    assert "do not belong together" in refusal({**encoder, projection: torch.tensor(1.0)}, lora)
    positions = "vision_model.embeddings.position_embedding.weight"
    assert "do not belong together" in refusal({**encoder, positions: torch.zeros(0, 64)}, lora)
    assert "it has no LoRA" in refusal(encoder, {})


def v2_parts() -> tuple[dict, dict]:
    return {**encoder_tensors(), **perceiver_tensors()}, lora_tensors()


def test_the_version_shows_in_the_keys_of_every_layout_and_not_in_the_name(tmp_path):
    for version, encoder in ((1, PhotoMakerEncoder), (2, PhotoMakerV2Encoder)):
        wrong_name = f"photomaker-v{3 - version}"
        dict_layout = make_photomaker(tmp_path / f"{wrong_name}.bin", seed=3, version=version)
        prefixed = make_photomaker(tmp_path / f"{wrong_name}.safetensors", seed=3, version=version)
        parts = torch.load(dict_layout, weights_only=True)
        unprefixed = write(tmp_path / f"{wrong_name}-flat.safetensors", parts["id_encoder"], parts["lora_weights"])
        states = []
        for path in (dict_layout, prefixed, unprefixed):
            photomaker = load_photomaker(str(path))
            assert type(photomaker.patcher.model) is encoder
            assert photomaker.lora.keys() == parts["lora_weights"].keys()
            states.append(photomaker.patcher.model.state_dict())
        assert states[0].keys() == parts["id_encoder"].keys()
        for state in states:
            assert all(torch.equal(state[key], tensor) for key, tensor in parts["id_encoder"].items())


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("token_norm.weight", None, "it has no qformer_perceiver.token_norm.weight"),
        ("token_norm.bias", None, "such as qformer_perceiver.token_norm.bias"),
        (
            "perceiver_resampler.layers.1.0.to_kv.weight",
            None,
            "such as qformer_perceiver.perceiver_resampler.layers.1.0",
        ),
        ("perceiver_resampler.layers.0.1.1.weight", None, "it has no layers.0.1.1.weight"),
        (
            "perceiver_resampler.proj_in.weight",
            torch.zeros(2048, 100),
            "such as qformer_perceiver.perceiver_resampler.",
        ),
        ("perceiver_resampler.proj_out.weight", torch.zeros(1024, 2048), "1, such as qformer_perceiver."),
        ("token_proj.2.weight", torch.zeros(2 * 1024, 64), "such as qformer_perceiver.token_proj.2"),
        ("surplus", torch.zeros(1), "1, such as qformer_perceiver.surplus"),
    ],
)
def test_a_v2_file_that_is_not_whole_or_of_other_widths_is_refused(tmp_path, name, tensor, reason):
    encoder, lora = v2_parts()
    encoder[f"qformer_perceiver.{name}"] = tensor
    encoder = {key: value for key, value in encoder.items() if value is not None}
    path = tmp_path / "photomaker-v2.bin"
    torch.save({"id_encoder": encoder, "lora_weights": lora}, path)
    with pytest.raises(ValueError, match=r"^photomaker_name: .*is not a PhotoMaker file: ") as refusal:
        load_photomaker(str(path))
    assert reason in str(refusal.value) and "in V2 encoder keys under qformer_perceiver." in str(refusal.value)


def test_a_v2_file_cut_short_is_refused(tmp_path):
    path = make_photomaker(tmp_path / "photomaker-v2.safetensors", version=2)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"^photomaker_name: .* cannot be read.*cut short"):
        load_photomaker(str(path))


def test_node_loads_from_any_registered_folder_and_names_them_when_the_file_is_missing(standin, monkeypatch):
    folders = [*folder_paths.get_folder_paths("photomaker"), str(standin.parent)]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "photomaker", (folders, {".bin", ".safetensors"}))
    (photomaker,) = PhotoMakerLoaderNode.execute(standin.name).result
    assert photomaker.lora.keys() == lora_tensors().keys()
    with pytest.raises(FileNotFoundError, match=r"^photomaker_name: gone.bin is not in ") as refusal:
        PhotoMakerLoaderNode.execute("gone.bin")
    assert all(folder in str(refusal.value) for folder in folders)
    assert PHOTOMAKER_V1.link in str(refusal.value)

"""Pivots and residual noise in files: to the last bit what was saved, or refused."""

import json
from dataclasses import fields

import folder_paths
import pytest
import safetensors
import torch
from comfy.cli_args import args
from customenhancer.host import recording_files
from customenhancer.host.recordings import ModelPivot, ModelRecording
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from customenhancer.nodes.recordings import LoadPivotNode, LoadResidualNoiseNode, SavePivotNode, SaveResidualNoiseNode
from helpers.sampling import picture, sample_back, schedule
from safetensors.torch import save_file
from standins.analytic import chaotic_model, guider

NAME = "scene.inversion.safetensors"
NODES = {ModelRecording: (SaveResidualNoiseNode, LoadResidualNoiseNode), ModelPivot: (SavePivotNode, LoadPivotNode)}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """The host's input and output folder."""
    folders = {name: tmp_path / name for name in ("input", "output")}
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(folder))
    return folders


def recording(kind=ModelRecording, steps=6, batch=2):
    generator = torch.Generator().manual_seed(steps)
    anchors, predictions = (torch.randn(n, batch, 4, 8, 8, generator=generator) for n in (steps + 1, steps))
    parts = {"sigmas": torch.linspace(0, 3, steps + 1), "anchors": anchors, "model_kind": "stand-in, EPS prediction"}
    return kind(**parts, **({"predictions": predictions} if kind is ModelRecording else {}))


def save(saved, **options):
    """Save as the node does; returns the name that the load node knows the file by."""
    output = NODES[type(saved)][0].execute(saved, **options)
    assert output[0] is saved
    (file,) = output.ui["recordings"]
    assert file["type"] == "output"
    return f"{file['subfolder']}/{file['filename']} [output]"


def load(name, kind=ModelRecording):
    node = NODES[kind][1]
    assert node.validate_inputs(name) is True
    return node.execute(name).result


def assert_same(loaded, saved):
    assert type(loaded) is type(saved)
    for field in fields(saved):
        kept, original = getattr(loaded, field.name), getattr(saved, field.name)
        assert torch.equal(kept, original) if torch.is_tensor(original) else kept == original


@pytest.mark.parametrize("kind", NODES)
def test_what_is_loaded_is_what_was_saved(kind):
    saved = recording(kind)
    loaded, latent = load(save(saved), kind)
    assert_same(loaded, saved)
    assert latent["samples"].shape == saved.anchors.shape[1:] and not latent["samples"].any()


def test_every_bit_of_subnormal_large_and_negative_zero_numbers_is_kept():
    saved = recording()
    saved.predictions.flatten()[:4] = torch.tensor([-0.0, 1e-45, 3.4e38, 1 / 3])
    loaded = load(save(saved))[0]
    assert torch.equal(loaded.predictions.view(torch.int32), saved.predictions.view(torch.int32))


def test_a_loaded_recording_samples_as_the_saved_one():
    model = chaotic_model(3)
    flow, sigmas, latent = guider(model), schedule(model), picture(2)
    residual_noise, noisy = ResInversionNode.execute(flow, sigmas, latent).result
    loaded, empty = load(save(residual_noise))
    assert torch.equal(sample_back(flow, loaded, sigmas, empty), sample_back(flow, residual_noise, sigmas, noisy))
    half = {"backward_scale": 0.5}
    assert torch.equal(
        sample_back(flow, loaded, sigmas, empty, **half), sample_back(flow, residual_noise, sigmas, noisy, **half)
    )


def test_a_loaded_pivot_serves_another_guider():
    model = chaotic_model(4)
    sigmas, latent = schedule(model), picture()
    other = guider(model, positive=(-0.4, 0.3), cfg=7.5)
    pivot = DDIMInversionNode.execute(guider(model), sigmas, latent).result[0]
    loaded, empty = load(save(pivot), ModelPivot)
    residual_noise = RecordResidualNoiseNode.execute(other, loaded).result[0]
    assert (sample_back(other, residual_noise, sigmas, empty) - latent["samples"]).abs().max() <= 1e-5


def test_a_saved_residual_noise_loads_as_its_pivot():
    saved = recording()
    assert_same(load(save(saved), ModelPivot)[0], ModelPivot(saved.sigmas, saved.anchors, saved.model_kind))


def test_the_choice_lists_both_folders(folders):
    assert recording_files.SAVED.names() == []
    name = save(recording(), filename_prefix="there/scene")
    recording_files.write_recording(recording(), str(folders["input"] / NAME), {})
    (folders["input"] / "picture.png").touch()
    (folders["output"] / "lora.safetensors").touch()
    for node in (LoadResidualNoiseNode, LoadPivotNode):
        (entry,) = node.define_schema().inputs
        assert entry.options == [NAME, name]
    load(NAME)


def test_the_workflow_goes_into_the_file_unless_metadata_is_off(folders, monkeypatch):
    class Hidden:
        prompt = {"1": {"class_type": "CE_SaveResidualNoise"}}
        extra_pnginfo = {"workflow": {"nodes": []}}

    def metadata():
        (path,) = folders["output"].rglob("*.safetensors")
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        path.unlink()
        return metadata

    monkeypatch.setattr(SaveResidualNoiseNode, "hidden", Hidden)
    save(recording())
    kept = metadata()
    assert json.loads(kept["prompt"]) == Hidden.prompt and json.loads(kept["workflow"]) == {"nodes": []}
    assert kept["model_kind"] == "stand-in, EPS prediction" and json.loads(kept["latent_shape"]) == [2, 4, 8, 8]
    monkeypatch.setattr(args, "disable_metadata", True)
    save(recording())
    assert set(metadata()) == {"inversion_format_version", "model_kind", "latent_shape"}


@pytest.mark.parametrize("node", [LoadResidualNoiseNode, LoadPivotNode])
def test_the_hosts_cache_sees_another_content(node, folders):
    path = folders["input"] / NAME
    recording_files.write_recording(recording(), str(path), {})
    first = node.fingerprint_inputs(NAME)
    path.write_bytes(path.read_bytes())
    assert node.fingerprint_inputs(NAME) == first
    path.unlink()
    recording_files.write_recording(recording(steps=7), str(path), {})
    assert node.fingerprint_inputs(NAME) != first
    assert node.validate_inputs(None) is True  # fed by a link
    assert node.fingerprint_inputs(None) != node.fingerprint_inputs(None)


class TestBadInput:
    """Each error names the input, and the file or what to do."""

    @pytest.mark.parametrize("name", ["gone.inversion.safetensors", "../secret", "inversions [output]", ""])
    def test_a_file_that_is_not_there_is_refused(self, name, folders):
        (folders["input"].parent / "secret").touch()
        (folders["output"] / "inversions").mkdir()
        for node, entry in ((LoadResidualNoiseNode, "residual_noise_name"), (LoadPivotNode, "pivot_name")):
            assert node.validate_inputs(name).startswith(f"{entry}: {name} is not there")
            with pytest.raises(FileNotFoundError, match=f"^{entry}: "):
                node.execute(name)

    def test_a_name_that_no_file_can_have_is_refused(self, folders):
        for node in (LoadResidualNoiseNode, LoadPivotNode):
            assert "is not there" in node.validate_inputs("\ud800")

    def refused(self, path):
        """What both load nodes say of a file in the input folder."""
        said = []
        for node, entry in ((LoadResidualNoiseNode, "residual_noise_name"), (LoadPivotNode, "pivot_name")):
            with pytest.raises(ValueError, match=f"^{entry}: ") as caught:
                node.execute(path.name)
            said.append(str(caught.value).removeprefix(f"{entry}: "))
        assert said[0] == said[1] and said[0].startswith(str(path))
        return said[0]

    @pytest.mark.parametrize("kept", [0, 7, 100, -1])
    def test_a_file_cut_short_is_refused(self, kept, folders):
        path = folders["input"] / NAME
        recording_files.write_recording(recording(), str(path), {})
        path.write_bytes(path.read_bytes()[:kept])
        assert "cannot be read" in self.refused(path)

    def test_another_kind_of_file_is_refused(self, folders):
        path = folders["input"] / NAME
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
        assert "cannot be read" in self.refused(path)
        save_file({"lora": torch.zeros(2)}, path)
        assert "is not a saved pivot or residual noise" in self.refused(path)

    @pytest.mark.parametrize("version", ["2", "1.5", ""])
    def test_a_file_of_another_version_is_refused(self, version, folders, monkeypatch):
        path = folders["input"] / NAME
        monkeypatch.setattr(recording_files, "VERSION", version)
        recording_files.write_recording(recording(), str(path), {})
        monkeypatch.undo()
        monkeypatch.setattr(folder_paths, "input_directory", str(folders["input"]))
        assert f"format version {version!r}, and this CustomEnhancer reads version 1. Update" in self.refused(path)

    DAMAGE = {
        "no anchors": (lambda t, m: t.pop("anchors"), "anchors is missing"),
        "no model kind": (lambda t, m: m.pop("model_kind"), "model_kind is missing"),
        "half precision": (lambda t, m: t.update(predictions=t["predictions"].half()), "predictions is torch.float16"),
        "a step short": (lambda t, m: t.update(predictions=t["predictions"][1:].clone()), "predictions is torch.float"),
        "another latent": (lambda t, m: m.update(latent_shape="[1, 4, 8, 8]"), "anchors holds latents of shape"),
        "NaN": (lambda t, m: t["anchors"].fill_(float("nan")), "anchors holds NaN"),
        "not ascending": (lambda t, m: t.update(sigmas=t["sigmas"].flip(0)), "sigmas does not ascend from 0"),
        "no steps": (lambda t, m: t.update({k: v[:1].clone() for k, v in t.items()}), "predictions is torch.float32"),
        "no picture": (lambda t, m: TestBadInput.reshape(t, m, ()), "anchors holds latents of shape []"),
        "one row": (lambda t, m: TestBadInput.reshape(t, m, (2, 4)), "anchors holds latents of shape [2, 4]"),
        "zero-size": (lambda t, m: TestBadInput.reshape(t, m, (2, 0, 8, 8)), "anchors holds latents of shape [2, 0"),
        "many axes": (lambda t, m: TestBadInput.reshape(t, m, (1,) * 9), "anchors holds latents of shape [1, 1"),
        "a number for nothing": (lambda t, m: m.update(latent_shape="9" * 5000), "anchors holds latents of shape"),
        "a kind too long": (lambda t, m: m.update(model_kind="x" * 5000), "model_kind has 5000 characters"),
        "no real numbers": (lambda t, m: t.update(anchors=t["anchors"].bool()), "anchors is torch.bool"),
        "one number": (lambda t, m: t.update(sigmas=torch.tensor(0.0)), "sigmas is torch.float32 of shape"),
    }

    @staticmethod
    def reshape(tensors, metadata, shape):
        """Latents of another shape, and all else as it has to be."""
        metadata["latent_shape"] = json.dumps(list(shape))
        for key, length in (("anchors", 7), ("predictions", 6)):
            tensors[key] = torch.zeros(length, *shape)

    @pytest.mark.parametrize("what", DAMAGE)
    def test_a_damaged_file_is_refused(self, what, folders):
        path, (damage, says) = folders["input"] / NAME, self.DAMAGE[what]
        recording_files.write_recording(recording(), str(path), {})
        with safetensors.safe_open(path, framework="pt") as file:
            metadata, tensors = file.metadata(), {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        damage(tensors, metadata)
        save_file(tensors, path, metadata)
        said = self.refused(path)
        assert f"is damaged: {says}" in said and len(said) < 1000

    def test_what_else_is_in_a_file_is_not_read(self, folders, monkeypatch):
        """A large tensor of another's, or one of a type that this PyTorch does not have."""
        path, saved = folders["input"] / NAME, recording()
        recording_files.write_recording(saved, str(path), {})
        with safetensors.safe_open(path, framework="pt") as file:
            metadata, tensors = file.metadata(), {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
        save_file({**tensors, "surplus": torch.zeros(8, dtype=torch.complex64)}, path, metadata)
        assert_same(load(NAME)[0], saved)

    def test_a_pivot_is_refused_where_residual_noise_is_asked_for(self):
        with pytest.raises(ValueError, match=r"^residual_noise_name: .* is a pivot without residual noise"):
            load(save(recording(ModelPivot)))

"""What identity encoders hold after they have encoded: nothing of them stays loaded, and no weight is kept too wide."""

import comfy.model_management
import comfy.model_patcher
import pytest
import torch
from customenhancer.identity.instantid import attention_dtype, encode_faces, load_instantid
from customenhancer.identity.photomaker import encode_prompt, load_photomaker
from customenhancer.identity.tensor_files import loaded
from standins.instantid import instantid_tensors
from standins.photomaker import make_photomaker
from standins.photomaker_host import sdxl_clip

CPU = torch.device("cpu")


def patcher() -> comfy.model_patcher.ModelPatcher:
    return comfy.model_patcher.ModelPatcher(torch.nn.Linear(8, 8), CPU, CPU)


@pytest.fixture
def others():
    """Two models that the host has loaded, and its records of all that it has."""
    models = [patcher(), patcher()]
    comfy.model_management.load_models_gpu(models)
    yield models
    comfy.model_management.free_memory(1e30, CPU)


def records() -> dict:
    return {
        record.model: (record, record.model.loaded_size()) for record in comfy.model_management.current_loaded_models
    }


def instantid_file(path) -> str:
    """InstantID's file in float32, of numbers that float16 cannot hold."""
    parts = instantid_tensors(seed=2, depths=(1, 1))
    for part in parts.values():
        part.update({key: value.float() * 1.0003 for key, value in part.items()})
    torch.save(parts, path)
    return str(path)


def test_a_model_is_loaded_for_a_while_and_no_other_is_touched(others):
    own, before = patcher(), records()
    with loaded(own):
        assert own in comfy.model_management.loaded_models() and own.loaded_size() == own.model_size() > 0
    assert own.loaded_size() == 0
    after = records()
    assert after.keys() == before.keys()
    assert all(after[model][0] is record and after[model][1] == size for model, (record, size) in before.items())


def test_it_is_unloaded_after_an_error_too(others):
    own, before = patcher(), records().keys()
    with pytest.raises(ZeroDivisionError), loaded(own):
        1 / 0  # noqa: B018
    assert records().keys() == before and own.loaded_size() == 0


def test_a_model_that_another_node_has_loaded_already_is_unloaded_all_the_same(others):
    own = patcher()
    comfy.model_management.load_model_gpu(own)
    with loaded(own):
        pass
    assert records().keys() == set(others)


def test_instantids_adapter_is_gone_once_the_face_is_encoded(tmp_path, others, measured):
    instantid, before = load_instantid(instantid_file(tmp_path / "a.bin")), records().keys()
    first = encode_faces(instantid, torch.randn(1, 512, generator=torch.Generator().manual_seed(1)))
    measured("models that stay loaded of InstantID after encoding", len(records().keys() - before))
    assert records().keys() == before and instantid.patcher.loaded_size() == 0
    again = encode_faces(instantid, torch.randn(1, 512, generator=torch.Generator().manual_seed(1)))
    assert all(
        torch.equal(*pair) for one, other in zip(first, again, strict=True) for pair in zip(one, other, strict=True)
    )


def test_photomakers_encoder_is_gone_once_the_prompt_is_encoded(tmp_path, others):
    photomaker, clip = load_photomaker(str(make_photomaker(tmp_path / "v1.bin"))), sdxl_clip(seed=31)
    before = records().keys()
    people = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    encode_prompt(photomaker, clip, people, "a photo of a man img", "img")
    assert records().keys() == before | {clip.patcher} and photomaker.patcher.loaded_size() == 0


HOSTS = {
    # What the host keeps SDXL's weights in, and computes in: fp16 on most GPUs, bf16, fp32; fp16 weights on a CPU.
    "fp16": (torch.float16, None),
    "bf16": (torch.bfloat16, None),
    "fp32": (torch.float32, None),
    "fp16 kept, fp32 computed": (torch.float16, torch.float32),
    "fp8 kept, bf16 computed": (torch.float8_e4m3fn, torch.bfloat16),
}


def host_that(monkeypatch, host):
    kept, computed = HOSTS[host]
    monkeypatch.setattr(comfy.model_management, "unet_dtype", lambda *args, **kwargs: kept)
    monkeypatch.setattr(comfy.model_management, "unet_manual_cast", lambda *args, **kwargs: computed)


@pytest.mark.parametrize(
    ("host", "file", "expected"),
    [
        ("fp16", torch.float32, torch.float16),
        ("bf16", torch.float32, torch.bfloat16),
        ("fp32", torch.float32, torch.float32),
        ("fp16 kept, fp32 computed", torch.float32, torch.float32),
        ("fp8 kept, bf16 computed", torch.float32, torch.bfloat16),
        ("fp32", torch.float16, torch.float16),
        ("bf16", torch.float16, torch.float16),
    ],
)
def test_weights_of_keys_and_values_are_kept_no_wider_than_the_network_computes(monkeypatch, host, file, expected):
    host_that(monkeypatch, host)
    assert attention_dtype(file) == expected


def test_on_this_machine_a_file_in_single_precision_stays_in_it():
    """It computes in float32, so conditionings are those of the file to the bit."""
    assert attention_dtype(torch.float32) == torch.float32


def test_the_tokens_stay_as_they_were_and_keys_and_values_lose_what_the_network_would_lose(
    tmp_path, monkeypatch, measured
):
    path, embedding = (
        instantid_file(tmp_path / "a.bin"),
        torch.randn(1, 512, generator=torch.Generator().manual_seed(1)),
    )
    whole = load_instantid(path)
    host_that(monkeypatch, "fp16")
    cast = load_instantid(path)
    dtypes = {
        part: {tensor.dtype for key, tensor in cast.patcher.model.state_dict().items() if key.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }
    assert dtypes == {"image_proj": {torch.float32}, "ip_adapter": {torch.float16}}
    sizes = {part: getattr(whole.patcher.model, part) for part in dtypes}
    sizes = {part: sum(tensor.nbytes for tensor in module.state_dict().values()) for part, module in sizes.items()}
    assert cast.patcher.model_size() == sizes["image_proj"] + sizes["ip_adapter"] // 2
    for (tokens, keys_values), (expected, expected_kv) in zip(
        encode_faces(cast, embedding), encode_faces(whole, embedding), strict=True
    ):
        assert torch.equal(tokens, expected)
        error = ((keys_values - expected_kv).abs() / expected_kv.abs().amax()).max()
        measured("keys and values of a file kept in fp16, relative to those in fp32: max difference", error)
        assert error < 2**-10

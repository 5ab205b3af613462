"""The PhotoMaker forward flow on the host's own SDXL classes: conditionings, LoRA, and what must stay as it was."""

from types import SimpleNamespace

import comfy.lora
import comfy.sampler_helpers
import numpy as np
import pytest
import torch
from customenhancer.faces.person import PersonFace
from customenhancer.identity.photomaker import PhotoMaker, load_photomaker
from customenhancer.identity.photomaker_lora import KEY
from customenhancer.nodes.photomaker import PhotoMakerForwardFlowNode
from helpers.photomaker_flow import MAN, TEXT, run_photomaker, without_need
from helpers.photomaker_references import fuse_reference, identity_reference
from standins.photomaker import encoder_tensors, lora_tensors
from standins.photomaker_host import sd15_clip, sd15_model, sdxl_model
from transformers import CLIPImageProcessor


@pytest.fixture(scope="module")
def model():
    return sdxl_model(seed=21)


def digest(tensors) -> dict[str, int]:
    """A hash of each tensor's bits."""
    return {key: torch.hash_tensor(tensor).item() for key, tensor in tensors.items()}


def expected_identity(clip, encoder_weights, text, copies, pixels):
    """The positive conditioning, by transformers' CLIP and the fuse formula on the host's encoding of the text."""
    cond, extras = clip.encode_from_tokens_scheduled(clip.tokenize(text))[0]
    places = slice(MAN, MAN + copies)
    with torch.no_grad():
        identity = identity_reference(encoder_weights, pixels)
        cond[0, places] = fuse_reference(encoder_weights, cond[0, places], identity)
    return cond, extras["pooled_output"]


@pytest.mark.parametrize("count", [1, 3])
def test_positive_holds_every_person_at_the_class_word(photomaker_parts, photomaker, model, clip, people, count):
    _, positive, _ = run_photomaker(model, clip, photomaker, people[:count])
    arrays = [np.uint8((picture * 255).round()) for picture in people[:count].numpy()]
    pixels = CLIPImageProcessor()(arrays, return_tensors="pt").pixel_values
    repeated = TEXT.replace("man img", " ".join(["man"] * count))
    cond, pooled = expected_identity(clip, photomaker_parts[0], repeated, count, pixels)
    torch.testing.assert_close(positive[0][0], cond, rtol=0, atol=1e-4)
    torch.testing.assert_close(positive[0][1]["pooled_output"], pooled, rtol=0, atol=0)


def test_pictures_of_another_size_are_cropped_as_clip_does(photomaker_parts, photomaker, model, clip, people):
    wide = torch.nn.functional.interpolate(people[:1].movedim(-1, 1), size=(448, 600), mode="bicubic").clamp(0, 1)
    wide = (wide * 255).round().movedim(1, -1) / 255
    _, positive, _ = run_photomaker(model, clip, photomaker, torch.cat([wide, torch.ones_like(wide[..., :1])], dim=-1))
    pixels = CLIPImageProcessor()([np.uint8((wide[0] * 255).round())], return_tensors="pt").pixel_values
    cond, _ = expected_identity(clip, photomaker_parts[0], TEXT.replace(" img", ""), 1, pixels)
    # The two resizers round differently; a wrong crop or a stretched picture is ten times further off.
    assert (positive[0][0] - cond).abs().mean() < 1e-3


def test_customization_free_is_the_stock_encoding_of_the_prompt_without_the_trigger(photomaker, model, clip, people):
    _, positive, free = run_photomaker(model, clip, photomaker, people)
    stock = clip.encode_from_tokens_scheduled(clip.tokenize(TEXT.replace(" img", "")))
    torch.testing.assert_close(free, stock, rtol=0, atol=0)
    assert positive[0][1].keys() - stock[0][1].keys() == {KEY}  # the LoRA that it needs


def test_only_the_class_words_places_carry_the_identity(photomaker, model, clip, people):
    _, one, _ = run_photomaker(model, clip, photomaker, people[:2])
    _, other, _ = run_photomaker(model, clip, photomaker, people[1:])
    changed = (one[0][0] - other[0][0]).abs().amax(-1)[0].nonzero().flatten()
    assert changed.tolist() == [MAN, MAN + 1]


def test_identity_stays_with_the_class_word_in_a_long_prompt(photomaker, model, clip, people):
    text = "hat " * 90 + "man img, smiling"
    _, positive, free = run_photomaker(model, clip, photomaker, people[:1], text)
    changed = (positive[0][0] - free[0][0]).abs().amax(-1)[0].nonzero().flatten()
    assert changed.tolist() == [77 + 1 + 90 - 75]


def test_all_560_lora_pairs_change_their_weight_by_their_product(photomaker_parts, photomaker, model, clip, people):
    personalised, _, _ = run_photomaker(model, clip, photomaker, people[:1], lora_strength=0.5)
    assert len(personalised.patches) == 560
    twins = [
        ("input_blocks.4.1", "down_blocks.1.attentions.0", "transformer_blocks.0.attn1", "to_q", "to_q"),
        ("middle_block.1", "mid_block.attentions.0", "transformer_blocks.9.attn2", "to_k", "to_k"),
        ("output_blocks.5.1", "up_blocks.1.attentions.2", "transformer_blocks.1.attn2", "to_out.0", "to_out"),
    ]
    for host_block, file_block, attention, host_name, file_name in twins:
        key = f"diffusion_model.{host_block}.{attention}.{host_name}.weight"
        lora = f"unet.{file_block}.{attention}.processor.{file_name}_lora"
        before = model.model.state_dict()[key].clone()
        after = comfy.lora.calculate_weight(personalised.patches[key], before.clone(), key)
        product = photomaker_parts[1][f"{lora}.up.weight"] @ photomaker_parts[1][f"{lora}.down.weight"]
        torch.testing.assert_close(after - before, 0.5 * product, rtol=0, atol=1e-5)
        assert 0.05 < (after - before).std() / before.std() < 0.3


def predict(model, cond):
    """One noise prediction of a MODEL, its patches in force."""
    real_model, _, _ = comfy.sampler_helpers.prepare_sampling(model, (1, 4, 8, 8), {}, {"transformer_options": {}})
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(51))
    with torch.no_grad():
        return real_model.apply_model(x, torch.ones(1), c_crossattn=cond[0][0], y=torch.zeros(1, 2816))


def test_strength_0_is_the_upstream_model_and_strength_1_is_not(photomaker, model, clip, people):
    untouched, positive, _ = run_photomaker(model, clip, photomaker, people[:1], lora_strength=0.0)
    personalised, positive_too, _ = run_photomaker(model, clip, photomaker, people[:1])
    torch.testing.assert_close(positive, without_need(positive_too), rtol=0, atol=0)
    plain = predict(model, positive)
    assert (predict(personalised, positive) - plain).abs().max() > 1e-3
    assert torch.equal(predict(untouched, positive), plain)
    assert not untouched.patches


def test_upstream_model_clip_file_and_pictures_are_never_changed(photomaker, model, clip, people):
    def state():
        networks = model.model, clip.cond_stage_model, photomaker.patcher.model
        tensors = [network.state_dict() for network in networks]
        return [digest(named) for named in [*tensors, photomaker.lora, {"pictures": people}]]

    before = state()
    generator = torch.get_rng_state()
    uuids = model.patches_uuid, clip.patcher.patches_uuid, photomaker.patcher.patches_uuid
    personalised, positive, free = run_photomaker(model, clip, photomaker, people)
    assert personalised is not model and personalised.model is model.model
    assert not model.patches and not clip.patcher.patches
    assert (model.patches_uuid, clip.patcher.patches_uuid, photomaker.patcher.patches_uuid) == uuids
    assert torch.equal(torch.get_rng_state(), generator)
    assert state() == before
    again = [without_need(each) for each in run_photomaker(model, clip, photomaker, people)[1:]]
    torch.testing.assert_close(again, [without_need(positive), free], rtol=0, atol=0)


def test_conditioning_that_a_clip_keeps_for_later_is_not_written_to(photomaker, model, clip, people):
    kept = clip.encode_from_tokens_scheduled(clip.tokenize("a photo of a man"))
    original = kept[0][0].clone()
    caching = SimpleNamespace(
        tokenize=clip.tokenize, tokenizer=clip.tokenizer, encode_from_tokens_scheduled=lambda tokens: kept
    )
    _, positive, free = run_photomaker(model, caching, photomaker, people[:1], "a photo of a man img")
    assert torch.equal(kept[0][0], original) and torch.equal(free[0][0], original)
    assert not torch.equal(positive[0][0], original)


def test_a_model_that_is_not_sdxl_is_refused(photomaker, clip, people):
    with pytest.raises(ValueError, match=r"^model: PhotoMaker works with SDXL alone, and this is BaseModel"):
        run_photomaker(sd15_model(), clip, photomaker, people)


def test_a_clip_that_is_not_sdxls_is_refused(photomaker, model, people):
    with pytest.raises(ValueError, match=r"^clip: not the text encoders of SDXL"):
        run_photomaker(model, sd15_clip(), photomaker, people)


def test_a_lora_without_a_place_in_the_model_is_refused_unless_off(photomaker, model, clip, people):
    foreign = {f"transformer.{key}": tensor for key, tensor in photomaker.lora.items()}
    other = PhotoMaker(photomaker.patcher, foreign)
    with pytest.raises(ValueError, match=r"^model: no tensor of the PhotoMaker file's LoRA fits"):
        run_photomaker(model, clip, other, people)
    assert run_photomaker(model, clip, other, people, lora_strength=0.0)[0] is model


def test_a_file_for_other_text_encoders_is_refused(model, clip, people, tmp_path):
    path = tmp_path / "narrow.bin"
    torch.save({"id_encoder": encoder_tensors(width=1024), "lora_weights": lora_tensors()}, path)
    with pytest.raises(ValueError, match=r"^photomaker: made for text embeddings 1024 wide, and clip's are 2048 wide"):
        run_photomaker(model, clip, load_photomaker(str(path)), people)


def test_no_picture_and_a_broken_prompt_are_refused(photomaker, model, clip, people):
    with pytest.raises(ValueError, match=r"^reference_images: is empty"):
        run_photomaker(model, clip, photomaker, people[:0])
    with pytest.raises(ValueError, match=r"^text: "):
        run_photomaker(model, clip, photomaker, people, "a man")


@pytest.mark.parametrize("weight", ["nan", "inf", "1e400"])
def test_a_weight_that_is_no_number_is_refused(weight, photomaker, model, clip, people):
    for text in (f"a man img, (hat:{weight})", f"a (man img:{weight})"):
        with pytest.raises(ValueError, match="^text: its embedding holds NaN or Inf. Check the weights"):
            run_photomaker(model, clip, photomaker, people[:1], text)


def test_node_runs_with_its_defaults_left_out_and_declares_them_optional():
    schema = {node_input.id: node_input for node_input in PhotoMakerForwardFlowNode.define_schema().inputs}
    assert [name for name, node_input in schema.items() if node_input.optional] == [
        "trigger",
        "lora_strength",
        "face_analysis",
        "reference_order",
        "reference_face",
        "face",
    ]
    assert all(node_input.tooltip for node_input in schema.values())
    assert schema["face_analysis"].get_io_type() == "FACEANALYSIS"


def test_v1_refuses_a_face_which_it_cannot_read(model, clip, photomaker, people):
    with pytest.raises(ValueError, match=r"^face: this file is of PhotoMaker V1.*photomaker-v2\.bin"):
        run_photomaker(model, clip, photomaker, people, face=PersonFace({"w600k_r50": torch.ones(512)}, 1))

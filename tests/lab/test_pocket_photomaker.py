"""The pocket world's PhotoMaker: what is trained narrow is the same in the file that our nodes load."""

from types import SimpleNamespace

import comfy.model_management
import comfy.sd
import numpy as np
import pytest
import torch
from customenhancer.identity.photomaker import load_photomaker
from customenhancer.nodes.photomaker import PhotoMakerForwardFlowNode
from helpers.lab import PROMPT, shaken
from safetensors.torch import save_file
from support_pack.tiny_sdxl import register_tiny_sdxl

from pocket import checkpoint, encode_portraits, measure_photomaker, photomaker, text, train_photomaker, unet, vae

WOMAN = 7  # place of the class word in it: start, a, close, -, up, of, a
PROMPTS = ["", PROMPT, "a man in a library", "a person"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return shaken(unet.TextToImage(text.token_ids(PROMPTS).unique()), 1)


@pytest.fixture(scope="module")
def trained(model):
    torch.manual_seed(2)
    return shaken(photomaker.PhotoMaker(model.unet.state_dict()), 3)


@pytest.fixture(scope="module")
def flow(model, trained, tmp_path_factory):
    """The node's outputs on the files that both are written to, and the faces that its analysis finds."""
    register_tiny_sdxl()
    folder = tmp_path_factory.mktemp("pocket")
    save_file(checkpoint.checkpoint_tensors(model.state_dict(), vae.VAE().file_weights()), folder / "sdxl.safetensors")
    save_file(photomaker.photomaker_tensors(trained.state_dict()), folder / "photomaker.safetensors")
    faces = torch.randn(2, 512, generator=torch.Generator().manual_seed(4))
    found = iter(faces.numpy())
    analysis = SimpleNamespace(
        models={"recognition": object()},
        get=lambda _: [SimpleNamespace(bbox=np.array([0, 0, 9, 9]), embedding=next(found))],
    )
    patcher, clip = comfy.sd.load_checkpoint_guess_config(str(folder / "sdxl.safetensors"))[:2]
    outputs = PhotoMakerForwardFlowNode.execute(
        model=patcher,
        clip=clip,
        photomaker=load_photomaker(str(folder / "photomaker.safetensors")),
        reference_images=torch.rand(2, 128, 128, 3, generator=torch.Generator().manual_seed(5)),
        text=PROMPT.replace("woman", "woman img"),
        face_analysis=analysis,
    )
    return *outputs.result, faces


def narrow(context):
    """What is kept of a context (..., 2048) in training."""
    return torch.cat([context[..., start : start + text.WIDTH] for start in (0, text.FULL_WIDTHS["l"])], dim=-1)


@torch.no_grad()
def test_the_node_writes_the_identity_into_the_prompt_as_the_training_does(model, trained, flow):
    _, positive, free, faces = flow
    context, pooled = trained(model.text, text.token_ids([PROMPT]), faces[None])
    assert torch.allclose(narrow(positive[0][0]), context, atol=5e-3)
    assert positive[0][0].count_nonzero() == context.count_nonzero()
    assert torch.allclose(positive[0][1]["pooled_output"][:, : text.WIDTH], pooled, atol=5e-3)
    other, _ = trained(model.text, text.token_ids([PROMPT]), faces.flip(1)[None])
    changed = (context != other).any(dim=-1)[0].nonzero().flatten()
    assert changed.tolist() == [WOMAN, WOMAN + 1, WOMAN + 2, WOMAN + 3] and (context - other).abs().max() > 0.1
    plain, _ = model.text(text.token_ids([PROMPT]))
    assert torch.allclose(narrow(free[0][0]), plain, atol=5e-3)


@torch.no_grad()
def test_the_patched_model_predicts_the_noise_that_the_training_predicts(model, trained, flow):
    patcher, positive, _, faces = flow
    assert len(patcher.patches) == len(photomaker.lora_places()) == 88
    comfy.model_management.load_model_gpu(patcher)
    x, timestep = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(6)), torch.tensor([300.0])
    (cond, extras), ids = positive[0], text.token_ids([PROMPT, ""])
    adm = patcher.model.encode_adm(pooled_output=extras["pooled_output"], width=128, height=128)
    network = patcher.model.diffusion_model.float()
    theirs = network(x, timestep, context=cond.float(), y=adm.float())
    personalised = measure_photomaker.Personalised(model, trained, faces)
    ours, _ = personalised(x.expand(2, -1, -1, -1), timestep.expand(2), ids).split(1)
    plain = model(x, timestep, ids[:1])
    assert (theirs - plain).abs().mean() > 0.02
    assert torch.allclose(theirs, ours, atol=1e-2)


def test_an_untrained_photomaker_leaves_the_model_as_it_is_and_gives_back_the_text(model):
    scale, weights = train_photomaker.text_scale(model.text, text.token_ids(PROMPTS[1:])), model.unet.state_dict()
    fresh = photomaker.PhotoMaker(weights, scale)
    assert all(torch.equal(weight, weights[name]) for name, weight in fresh.lora_weights(weights).items())
    ids = text.token_ids([PROMPT])
    context, _ = fresh(model.text, ids, torch.randn(1, 1, 512))
    repeated, _ = model.text(photomaker.repeat_token(ids, photomaker.class_places(ids), 2))
    given, text_state = context[0, WOMAN : WOMAN + 2], repeated[0, WOMAN : WOMAN + 2]
    assert (torch.cosine_similarity(given, text_state) > 0.3).all()
    assert 0.5 < given.norm() / text_state.norm() < 2


@pytest.mark.parametrize("copies", [1, 2, 6])
def test_repeating_a_token_equals_writing_its_word_again(copies):
    ids = text.token_ids([PROMPT, "a man in a library"])
    expected = text.token_ids([PROMPT.replace("woman", "woman " * copies), "a" + " man" * copies + " in a library"])
    assert torch.equal(photomaker.repeat_token(ids, photomaker.class_places(ids), copies), expected)


def test_a_prompt_without_a_person_is_refused():
    with pytest.raises(ValueError, match="a prompt names none of woman, man, person"):
        photomaker.class_places(text.token_ids(["a man", "a sunny beach"]))


def test_a_training_step_shows_other_pictures_of_the_person_that_it_draws():
    people, views = 40, 3
    numbers = torch.arange(people * views).reshape(people, views)
    data = {
        "latents": numbers,
        "heads": numbers,
        "ids": numbers[..., None].expand(-1, -1, 2),
        "faces": numbers[..., None],
    }
    counts = set()
    for step in range(8):
        drawn, _, ids, faces = train_photomaker.draw(np.random.default_rng(step), data)
        shown = drawn[: train_photomaker.SHOWN, None]
        assert torch.equal(ids, drawn) and len(drawn) == 32
        assert (faces[..., 0] // views == shown // views).all() and (faces[..., 0] != shown).all()
        assert all(len(row.unique()) == len(row) for row in faces[..., 0])
        counts.add(faces.shape[1])
    assert counts == {1, 2}


def test_portraits_are_close_ups_of_one_person_of_the_split():
    identity, views = encode_portraits.portraits(3, split="heldout", count=2)
    assert identity.split == "heldout"
    (one, captions), (other, _) = views
    assert not np.array_equal(one.pixels, other.pixels) and len(captions) == encode_portraits.WORDINGS
    assert all((picture.box[2] - picture.box[0]) > 0.25 * 128 for picture, _ in views)
    assert photomaker.class_places(text.token_ids(captions)).shape == (2,)


def test_likeness_is_summarised_by_the_person_that_a_picture_is_meant_to_show():
    alike = np.array([[0.8, 0.1, 0.3], [0.6, 0.2, 0.0], [0.0, 0.0, 0.0]])
    assert measure_photomaker.summary(alike, np.arange(3)) == (
        "like the person 0.33, like the others 0.17; the person is the nearest of 3 in 33%; no face found in 33%"
    )

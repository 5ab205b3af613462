"""CLIP-T, CLIP-I, CLIP-IQA and DINO on random models of the real layout, against the models called by hand."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from standins.clip_folder import END, MEAN, PATCH, SIDE, SIZES, START, STD, write_clip, write_processor
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from paper import clip_scores
from paper.clip_scores import BAD, GOOD
from paper.dino import dino
from paper.records import Record
from paper.weights import CLIP, DINO, Weights

PROMPT = "a photo of a woman"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_clip(folder / CLIP.name)
    return Weights(folder)


@pytest.fixture(scope="module")
def clip(weights):
    return clip_scores.load_clip(weights, "cpu")


@pytest.fixture
def records(tmp_path):
    """Two pictures of 32 pixels, which no processor resizes, and three others."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path)
    return [Record("m", "i", n, 0, paths[n], PROMPT, others=tuple(paths[2:])) for n in range(2)]


def pixels_of(path):
    pixels = torch.from_numpy(np.asarray(Image.open(path), np.float32) / 255)
    return ((pixels - torch.tensor(MEAN)) / torch.tensor(STD)).movedim(-1, 0)[None]


def by_hand(model, path):
    """A picture's direction, through the model's parts."""
    with torch.no_grad():
        pooled = model.vision_model(pixel_values=pixels_of(path)).pooler_output
        return F.normalize(model.visual_projection(pooled), dim=-1)[0]


def text_by_hand(clip, words, text):
    """A text's direction: letters looked up one by one, the end's hidden state projected."""
    spelled = [letter for word in text.split() for letter in (*word[:-1], f"{word[-1]}</w>")]
    ids = [words[START], *(words[token] for token in spelled), words[END]]
    with torch.no_grad():
        hidden = clip.model.text_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        return F.normalize(clip.model.text_projection(hidden), dim=-1)


@pytest.fixture(scope="module")
def words(weights):
    return json.loads((weights.folder / CLIP.name / "vocab.json").read_text(encoding="utf-8"))


def test_clip_t_is_the_cosine_of_picture_and_prompt(clip, words, records):
    found = clip_scores.clip_t(clip).measure(records)
    text = text_by_hand(clip, words, PROMPT)
    assert found == pytest.approx([(by_hand(clip.model, one.picture) @ text).item() for one in records], abs=1e-5)
    assert found[0] != pytest.approx(found[1], abs=1e-5)


def test_prompts_of_unequal_length_are_measured_as_if_alone(clip, records):
    long = [records[0], Record("m", "i", 2, 0, records[1].picture, PROMPT + " standing in a lighthouse")]
    metric = clip_scores.clip_t(clip)
    assert metric.measure(long) == pytest.approx([metric.measure([one])[0] for one in long], abs=1e-5)


def test_a_prompt_beyond_clips_length_is_cut_off(clip, records):
    endless = [Record("m", "i", 0, 0, records[0].picture, " ".join(["a photo"] * count)) for count in (60, 90)]
    first, other = clip_scores.clip_t(clip).measure(endless)
    assert first == pytest.approx(other, abs=1e-6)


def test_clip_i_is_the_mean_cosine_with_the_other_pictures(clip, records):
    others = torch.stack([by_hand(clip.model, path) for path in records[0].others])
    expected = [(others @ by_hand(clip.model, one.picture)).mean().item() for one in records]
    assert clip_scores.clip_i(clip).measure(records) == pytest.approx(expected, abs=1e-5)


def test_clip_iqa_is_the_softmax_of_good_against_bad_at_clips_temperature(clip, words, records):
    anchors = torch.stack([text_by_hand(clip, words, text.lower().replace(".", " .")) for text in (GOOD, BAD)])
    scale = clip.model.logit_scale.exp().item()
    expected = []
    for one in records:
        good, bad = (scale * anchors @ by_hand(clip.model, one.picture)).tolist()
        expected.append(1 / (1 + np.exp(bad - good)))
    assert clip_scores.clip_iqa(clip).measure(records) == pytest.approx(expected, abs=1e-4)


def test_a_picture_that_is_no_square_is_resized_and_cropped_as_the_models_processor_says(clip, tmp_path):
    gradient = np.linspace(0, 255, 2 * SIDE).astype(np.uint8)
    wide = np.stack([np.tile(gradient, (SIDE, 1))] * 3, axis=-1)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide[:, SIDE // 2 : -SIDE // 2]).save(tmp_path / "middle.png")
    one, other = clip.pictures([tmp_path / "wide.png", tmp_path / "middle.png"])
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("family", ["vit", "dinov2"])
def test_dino_is_the_mean_cosine_of_class_tokens(family, tmp_path, records):
    folder = tmp_path / "weights" / DINO.name
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    sizes = {**SIZES, "image_size": SIDE, "patch_size": PATCH}
    sizes = {name: value for name, value in sizes.items() if name != "intermediate_size" or family == "vit"}
    model = (ViTModel(ViTConfig(**sizes)) if family == "vit" else Dinov2Model(Dinov2Config(**sizes))).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    write_processor(folder, image_processor_type="ViTImageProcessor", do_resize=True, do_normalize=True)

    def token(path):
        with torch.no_grad():
            return F.normalize(model(pixel_values=pixels_of(path)).last_hidden_state[0, 0], dim=0)

    others = torch.stack([token(path) for path in records[0].others])
    expected = [(others @ token(one.picture)).mean().item() for one in records]
    assert dino(Weights(tmp_path / "weights"), "cpu").measure(records) == pytest.approx(expected, abs=1e-5)

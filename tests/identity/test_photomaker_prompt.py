"""PhotoMaker's prompt rule against the same rule on the ids of transformers' own CLIP tokenizer, and its edge cases."""

from pathlib import Path
from types import SimpleNamespace

import comfy.sd1_clip
import comfy.sdxl_clip
import pytest
import torch
from customenhancer.identity.photomaker_prompt import prepare_prompt
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

END = 49407
PAD = {"l": END, "g": 0}
WORDS = st.sampled_from(
    ["smiling", "firefighter", "man", "(close-up)", "red,", "superlative", "sci-fi", "café", "人", "42"]
)
CLASS_WORDS = st.sampled_from(["man", "woman", "cyberheroine", "Supergirl", "sci-fi hero", "grandma's", "café-owner"])


def clip_with(tokenizer):
    """The two things that the prompt rule asks of a CLIP."""
    return SimpleNamespace(tokenize=tokenizer.tokenize_with_weights, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def clip():
    return clip_with(comfy.sdxl_clip.SDXLTokenizer())


@pytest.fixture(scope="module")
def reference_tokenizer():
    return CLIPTokenizer.from_pretrained(Path(comfy.sd1_clip.__file__).parent / "sd1_tokenizer")


def pairs(chunks):
    """Without the piece numbers: as the host's tokenize gives them when it is not asked for these."""
    return [[(token, weight) for token, weight, _ in chunk] for chunk in chunks]


def ids(chunk):
    return [token for token, *_ in chunk]


def class_tokens(prompt, key):
    """(token, weight) at each identity position."""
    flat = [token for chunk in prompt.identity[key] for token in chunk]
    return [flat[position][:2] for position in prompt.positions[key]]


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(WORDS, max_size=6),
    class_word=CLASS_WORDS,
    after=st.lists(WORDS, max_size=12),
    comma=st.sampled_from(["", ",", ".", ")"]),
    copies=st.integers(1, 12),
)
def test_identity_tokens_follow_the_original_rule(clip, reference_tokenizer, before, class_word, after, comma, copies):
    text = " ".join([*before, class_word, f"img{comma}", *after])
    # The host reads brackets as weights unless they are escaped.
    prompt = prepare_prompt(clip, text.replace("(", r"\(").replace(")", r"\)"), "img", copies)

    reference = reference_tokenizer(text)["input_ids"][1:-1]
    trigger = reference.index(24157)
    expected = reference[: trigger - 1] + [reference[trigger - 1]] * copies + reference[trigger + 1 :]
    for key in ("l", "g"):
        chunk = [49406, *expected[:75], END]
        assert ids(prompt.identity[key][0]) == chunk + [PAD[key]] * (77 - len(chunk))
        assert prompt.positions[key] == list(range(trigger, trigger + copies))


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(WORDS, max_size=60),
    after=st.lists(WORDS, max_size=60),
    weight=st.sampled_from(["{}", "({}:1.3)", "(({} hat))", "(big {}:0.8)"]),
    copies=st.integers(1, 3),
)
def test_customization_free_is_the_hosts_reading_of_the_prompt_without_trigger(clip, before, after, weight, copies):
    def text(person):
        words = " ".join([*before, weight.format(person), *after])
        return words.replace("(close-up)", r"\(close-up\)")

    try:
        prompt = prepare_prompt(clip, text("man img"), "img", copies)
    except ValueError as error:
        assert "reference_images" in str(error) and copies > 1
        return
    plain = clip.tokenize(text("man"))
    for key in ("l", "g"):
        assert pairs(prompt.customization_free[key]) == plain[key]
        assert len(prompt.identity[key]) == len(plain[key])
        assert all(len(chunk) == 77 for chunk in prompt.identity[key])
        if copies == 1:
            assert pairs(prompt.identity[key]) == plain[key]


@pytest.mark.parametrize("length", range(6, 11))
def test_weighted_piece_at_the_end_of_a_chunk_is_cut_or_kept_whole_as_the_host_does(clip, length):
    for hats in range(64, 76):
        text = "hat " * hats + "(" + "red " * (length - 1) + "man img:1.2) smiling"
        prompt = prepare_prompt(clip, text, "img", 1)
        plain = clip.tokenize(text.replace(" img", ""))
        for key in ("l", "g"):
            assert pairs(prompt.customization_free[key]) == plain[key]
            assert class_tokens(prompt, key) == [(786, 1.2)]


@pytest.mark.parametrize(
    "text, weight",
    [("a (man img:1.2)", 1.2), ("a (man:1.2) img", 1.2), ("a man (img:1.4)", 1.0), ("a ((man img))", 1.21)],
)
def test_weight_of_the_class_word_is_kept_and_that_of_the_trigger_is_dropped(clip, text, weight):
    prompt = prepare_prompt(clip, text, "img", 2)
    assert class_tokens(prompt, "g") == [(786, pytest.approx(weight))] * 2
    assert 24157 not in ids(prompt.identity["g"][0])


@pytest.mark.parametrize(
    "text", ["[man] img, red", r"a \(man\) img", '"man" img', "the man img and the man", "MAN IMG"]
)
def test_class_word_is_found_in_brackets_quotes_capitals_and_among_its_like(clip, text):
    prompt = prepare_prompt(clip, text, "img", 3)
    assert class_tokens(prompt, "l") == [(786, 1.0)] * 3
    assert ids(prompt.identity["l"][0]).count(786) == 3 + text.lower().count("man") - 1


def test_class_word_of_several_tokens_repeats_the_last_one(clip, reference_tokenizer):
    word = reference_tokenizer("cyberheroine")["input_ids"][1:-1]
    assert len(word) > 1
    prompt = prepare_prompt(clip, "a cyberheroine img", "img", 3)
    assert ids(prompt.identity["l"][0])[1:-1][: len(word) + 3] == [320, *word, word[-1], word[-1]]


def test_trigger_may_be_another_word_and_longer_than_one_token(clip, reference_tokenizer):
    assert len(reference_tokenizer("photomaker")["input_ids"]) > 3
    prompt = prepare_prompt(clip, "a man photomaker, img", "photomaker", 1)
    assert pairs(prompt.identity["l"]) == clip.tokenize("a man, img")["l"]


def test_long_prompt_keeps_the_identity_in_the_class_words_chunk(clip):
    prompt = prepare_prompt(clip, "hat " * 100 + "man img " + "red " * 100, "img", 4)
    assert len(prompt.identity["l"]) == 3
    assert prompt.positions["l"] == [77 + 1 + 25 + i for i in range(4)]
    assert class_tokens(prompt, "l") == [(786, 1.0)] * 4


@pytest.mark.parametrize("words", range(70, 80))
def test_one_picture_fits_wherever_the_class_word_stands(clip, words):
    prompt = prepare_prompt(clip, "hat " * words + "man img, smiling", "img", 1)
    assert class_tokens(prompt, "g") == [(786, 1.0)]


@pytest.mark.parametrize(
    "text, trigger, message",
    [
        ("a photo of a man", "img", r"^text: does not contain .*img"),
        ("", "img", r"^text: does not contain "),
        ("an imgur man", "img", r"^text: does not contain "),
        ("a man img and a woman img", "img", r"^text: .*2 times"),
        ("img of a man", "img", r"^text: .*there is nothing"),
        ("(img:1.2)", "img", r"^text: .*there is nothing"),
        ("a man, img", "img", r'^text: .*there is ","'),
        ("[man], img", "img", r"^text: .*class word must be"),
        ("] img", "img", r"^text: .*class word must be"),
        ("a man img", "", r"^trigger: .*not a word"),
        ("a man img", "  ", r"^trigger: .*not a word"),
    ],
)
def test_a_prompt_against_the_rule_is_refused(clip, text, trigger, message):
    with pytest.raises(ValueError, match=message):
        prepare_prompt(clip, text, trigger, 1)


def test_more_pictures_than_places_are_refused(clip):
    prepare_prompt(clip, "a man img", "img", 74)
    with pytest.raises(ValueError, match=r"^reference_images: they need 75 places .* there are 74"):
        prepare_prompt(clip, "a man img", "img", 75)


def test_clip_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"^clip: not the text encoders of SDXL \(its token sets are \['l'\]"):
        prepare_prompt(clip_with(comfy.sd1_clip.SD1Tokenizer()), "a man img", "img", 1)
    with pytest.raises(ValueError, match=r"^clip: there is none"):
        prepare_prompt(None, "a man img", "img", 1)


@pytest.fixture
def clip_with_embedding(tmp_path):
    """A CLIP that knows three embeddings: for both encoders, of unequal length, and for CLIP-L alone."""
    torch.save({"clip_l": torch.randn(2, 768), "clip_g": torch.randn(2, 1280)}, tmp_path / "even.pt")
    torch.save({"clip_l": torch.randn(1, 768), "clip_g": torch.randn(80, 1280)}, tmp_path / "uneven.pt")
    torch.save({"emb_params": torch.randn(4, 768)}, tmp_path / "old.pt")
    return clip_with(comfy.sdxl_clip.SDXLTokenizer(embedding_directory=str(tmp_path)))


def test_an_embedding_may_be_the_class_word(clip_with_embedding):
    prompt = prepare_prompt(clip_with_embedding, "a embedding:even img", "img", 3)
    for key, width in (("l", 768), ("g", 1280)):
        vectors = ids(prompt.identity[key][0])[2:6]
        assert all(vector.shape == (width,) for vector in vectors)
        assert torch.equal(vectors[1], vectors[2]) and torch.equal(vectors[1], vectors[3])
        assert prompt.positions[key] == [3, 4, 5]


def test_embedding_before_the_class_word_moves_it_in_each_encoder(clip_with_embedding):
    prompt = prepare_prompt(clip_with_embedding, "embedding:uneven man img", "img", 2)
    assert prompt.positions == {"l": [2, 3], "g": [77 + 6, 77 + 7]}
    assert len(prompt.identity["l"]) == len(prompt.identity["g"]) == 2
    assert class_tokens(prompt, "l") == class_tokens(prompt, "g") == [(786, 1.0)] * 2


def test_embedding_that_the_host_drops_does_not_shift_the_identity(clip_with_embedding):
    prompt = prepare_prompt(clip_with_embedding, "embedding:old man img", "img", 1)
    assert prompt.positions == {"l": [5], "g": [1]}
    assert not any(map(torch.is_tensor, ids(prompt.identity["g"][0])))

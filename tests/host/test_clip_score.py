"""CLIP-T against transformers' CLIPModel on the same weights, by the host's own loaders; and halves that do not fit."""

from types import SimpleNamespace

import pytest
import torch
from customenhancer.host.clip_score import clip_scores
from helpers.clip_halves import SIDE, G, H, L, load_image, load_text, published, published_scores, write

TEXT = "a photo of a man reading in an old library"
PICTURES = torch.rand(3, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255


@pytest.fixture(scope="module")
def models():
    """transformers' CLIPs, by their kind."""
    return {kind: published(kind, seed) for seed, kind in enumerate((L, H, G))}


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    """A file of both halves of each."""
    folder = tmp_path_factory.mktemp("clips")
    return {kind: write(model, folder / f"{kind.name}.safetensors") for kind, model in models.items()}


@pytest.fixture(scope="module")
def bare(models, tmp_path_factory):
    """A file of CLIP-L's without the text's projection, as most are."""
    return write(models[L], tmp_path_factory.mktemp("bare") / "clip_l.safetensors", without="text_projection")


@pytest.fixture(scope="module")
def halves(files):
    """CLIP_VISION and CLIP, by their kind."""
    return {kind: (load_image(file, kind), load_text(file, kinds=(kind,))) for kind, file in files.items()}


@pytest.fixture(scope="module")
def sdxl(files):
    """A CLIP of SDXL's two encoders, whose main one is CLIP-G."""
    return load_text(files[L], files[G], kinds=(L, G))


def close(values, expected):
    assert values == pytest.approx(expected, abs=2e-5)
    assert max(expected) - min(expected) > 1e-3  # it tells pictures apart


@pytest.mark.parametrize("kind", [L, H, G], ids=lambda kind: kind.name)
def test_it_is_what_transformers_computes(models, halves, kind):
    values, notes = clip_scores(*halves[kind], TEXT, PICTURES)
    close(values, published_scores(models[kind], PICTURES, TEXT))
    assert notes == []
    other = published_scores(models[kind], PICTURES, "a dog")
    assert max(abs(one - two) for one, two in zip(values, other, strict=True)) > 1e-3


@pytest.mark.parametrize("kind", [L, G], ids=lambda kind: kind.name)
def test_of_two_encoders_the_one_of_the_image_halfs_width_is_asked(models, files, halves, sdxl, kind):
    image_half, _ = halves[kind]
    for clip in (sdxl, load_text(files[L], files[G], kinds=(L, G), kind="SD3")):
        close(clip_scores(image_half, clip, TEXT, PICTURES)[0], published_scores(models[kind], PICTURES, TEXT))


def test_where_the_host_keeps_the_pooled_output_unprojected_the_score_is_of_the_projected_one(models, halves):
    """SD 1.5's, SD 3's and Flux's: what their conditionings carry would be a wrong score."""
    image_half, clip = halves[L]
    _, pooled = clip.encode_from_tokens(clip.tokenize(TEXT), return_pooled=True)
    found = image_half.encode_image(PICTURES).image_embeds
    unprojected = torch.cosine_similarity(found, pooled).tolist()
    expected = published_scores(models[L], PICTURES, TEXT)
    assert max(abs(one - two) for one, two in zip(unprojected, expected, strict=True)) > 0.01
    close(clip_scores(image_half, clip, TEXT, PICTURES)[0], expected)


def test_the_centre_square_counts_and_neither_edges_nor_alpha(models, halves):
    wide = torch.rand(3, SIDE, 2 * SIDE, 4, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255
    values, _ = clip_scores(*halves[L], TEXT, wide)
    close(values, published_scores(models[L], wide[..., :3], TEXT))
    assert values == clip_scores(*halves[L], TEXT, wide[:, :, SIDE // 2 : -SIDE // 2])[0]


def test_larger_pictures_are_scaled_as_closely_as_the_host_scales(models, halves):
    large = torch.nn.functional.interpolate(PICTURES.movedim(-1, 1), scale_factor=3.5, mode="bicubic").movedim(1, -1)
    values, _ = clip_scores(*halves[L], TEXT, large.clamp(0, 1))
    assert values == pytest.approx(published_scores(models[L], large.clamp(0, 1), TEXT), abs=5e-3)


def test_of_a_long_text_the_beginning_counts_and_it_says_so(models, halves):
    long = "cat " * 70 + "dog " * 30
    values, notes = clip_scores(*halves[L], long, PICTURES)
    close(values, published_scores(models[L], PICTURES, long))  # which cuts it after 75 tokens
    assert values == clip_scores(*halves[L], "cat " * 70 + "dog " * 5, PICTURES)[0] and len(notes) == 1
    assert notes[0].startswith("of the beginning of text")


def test_weights_in_a_prompt_do_not_count(halves):
    weighted, _ = clip_scores(*halves[L], "a photo of a (smiling:1.5) man", PICTURES)
    assert weighted == pytest.approx(clip_scores(*halves[L], "a photo of a smiling man", PICTURES)[0], abs=1e-6)


def test_the_clip_encodes_afterwards_as_it_did_before(halves, sdxl):
    for image_half, clip in ((halves[L][0], sdxl), (halves[G][0], sdxl), halves[L]):
        before = clip.encode_from_tokens(clip.tokenize(TEXT), return_pooled=True)
        patcher, model = clip.patcher, clip.cond_stage_model
        clip_scores(image_half, clip, "another text", PICTURES)
        assert clip.patcher is patcher and clip.cond_stage_model is model
        for one, other in zip(before, clip.encode_from_tokens(clip.tokenize(TEXT), return_pooled=True), strict=True):
            assert torch.equal(one, other)


def test_a_lora_on_the_text_half_counts_and_is_told(halves):
    image_half, clip = halves[L]
    patched = clip.clone()
    key = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc2.weight"
    assert patched.add_patches({key: (torch.randn(L.width, 48, generator=torch.Generator().manual_seed(1)),)})
    plain, changed = (clip_scores(image_half, one, TEXT, PICTURES) for one in (clip, patched))
    assert "LoRA" in changed[1][0] and changed[0] != pytest.approx(plain[0], abs=1e-3)
    assert clip_scores(image_half, clip, TEXT, PICTURES) == plain


def refused(match, image_half, clip, text=TEXT):
    with pytest.raises(ValueError, match=match) as caught:
        clip_scores(image_half, clip, text, PICTURES)
    return str(caught.value)


def test_halves_of_unequal_width_are_refused_by_both_widths(halves, sdxl):
    said = refused("^clip_vision: its embeddings are 96 wide and clip's 64,", halves[G][0], halves[L][1])
    assert "CLIP-ViT-bigG-14" in said and "openai/clip-vit-large-patch14" in said
    refused("^clip_vision: its embeddings are 80 wide and clip's 64 and 96,", halves[H][0], sdxl)


def test_a_text_encoder_without_a_projection_is_refused_whatever_stands_in_its_place(bare, halves):
    """The host leaves memory as it was there: zeros, or anything."""
    clip = load_text(bare, kinds=(L,))
    projection = clip.cond_stage_model.clip_l.transformer.text_projection
    for junk in (
        torch.zeros(L.width, L.width),
        torch.randn(L.width, L.width),
        torch.full((L.width, L.width), torch.nan),
    ):
        projection.weight.data.copy_(junk)
        refused(r"^clip: the file of its text encoder that is 64 wide holds no text_projection", halves[L][0], clip)


@pytest.mark.parametrize("junk", [0.0, torch.nan])
def test_without_a_known_file_zeros_and_nan_give_it_away(bare, halves, junk):
    clip = load_text(bare, kinds=(L,))
    clip.patcher.cached_patcher_init = None
    clip.cond_stage_model.clip_l.transformer.text_projection.weight.data.fill_(junk)
    refused(r"^clip: the file of its text encoder that is 64 wide holds no text_projection", halves[L][0], clip)


def test_each_of_two_encoders_is_held_to_its_own_projection(bare, files, models, halves):
    """An SDXL checkpoint has CLIP-G's and lacks CLIP-L's."""
    clip = load_text(bare, files[G], kinds=(L, G))
    clip.cond_stage_model.clip_l.transformer.text_projection.weight.data.normal_()
    refused("^clip: the file of its text encoder that is 64 wide", halves[L][0], clip)
    close(clip_scores(halves[G][0], clip, TEXT, PICTURES)[0], published_scores(models[G], PICTURES, TEXT))


def test_a_file_that_is_gone_or_of_another_format_is_not_asked(files, halves, tmp_path):
    image_half, clip = halves[L]
    expected = clip_scores(image_half, clip, TEXT, PICTURES)
    for file in (tmp_path / "gone.safetensors", tmp_path / "old.bin"):
        moved = clip.clone()
        moved.patcher.cached_patcher_init = (None, ([str(file)],))
        assert clip_scores(image_half, moved, TEXT, PICTURES) == expected


def test_an_image_half_without_its_projection_is_refused(models, halves):
    image_half, clip = halves[L]
    projection = image_half.model.visual_projection
    weight = projection.weight
    projection.weight = torch.nn.Parameter(torch.zeros_like(weight))
    try:
        refused("^clip_vision: gives embeddings of zeros or NaN", image_half, clip)
    finally:
        projection.weight = weight


@pytest.mark.parametrize("kind", ["siglip_vision_model", "dinov2"])
def test_what_is_no_clips_image_half_is_refused(halves, kind):
    other = SimpleNamespace(model_type=kind, model=halves[L][0].model, encode_image=None)
    refused(f"^clip_vision: a {kind} is the image half of no CLIP", other, halves[L][1])


def test_a_clip_of_other_text_encoders_is_refused(halves):
    for other in (SimpleNamespace(tokenize=None), SimpleNamespace(cond_stage_model=torch.nn.Linear(1, 1))):
        refused("^clip: has none of CLIP's text encoders", halves[L][0], other)


def test_no_text_is_refused(halves):
    for text in ("", " \n"):
        refused("^text: is empty", *halves[L], text)

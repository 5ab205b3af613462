"""The cards of the workflows: how they are laid out, and that each workflow's can be made on the pocket world."""

import itertools
import json

import numpy as np
import pytest
from demo import STAND_INS
from helpers.host_client import find_title
from helpers.paths import CHECKOUT
from helpers.workflow_files import api_twin
from PIL import Image, ImageColor

from cards.card import GAP, GROUND, INK, MARGIN, SIZE, Tile, draw_card, place
from cards.cast import SHARP, SIDE, KeyPoints
from cards.making import BANNER, banner, icon, titles
from cards.prompts import MODELS, STEPS, pocket_prompt
from cards.recipes import EMBLEM, RECIPES

NAMES = sorted(RECIPES)
SQUARE, WIDE = (128, 128), (256, 112)
LAYOUTS = [
    ([[SQUARE, SQUARE], [SQUARE]], False),
    ([[SQUARE], [SQUARE], [SQUARE]], False),
    ([[SQUARE] * 3, [SQUARE] * 3], True),
    ([[SQUARE, WIDE], [WIDE]], True),
    ([[SQUARE], [WIDE, WIDE]], False),
]


def plain(colour: str, size: tuple[int, int] = SQUARE, **more) -> Tile:
    return Tile(Image.new("RGB", size, colour), **more)


def colour_at(card: Image.Image, box: tuple[float, ...]) -> tuple[int, ...]:
    """The colour in the middle of a box."""
    return card.getpixel((round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)))


@pytest.mark.parametrize(("groups", "down"), LAYOUTS)
@pytest.mark.parametrize("arrows", [True, False])
@pytest.mark.parametrize("size", [SIZE, BANNER])
def test_pictures_keep_their_proportions_and_stand_free_on_the_card(groups, down, arrows, size):
    placed = place(groups, size, down, arrows)
    boxes = list(itertools.chain(*placed))
    for (left, top, right, bottom), (width, height) in zip(boxes, itertools.chain(*groups), strict=True):
        assert (right - left) / (bottom - top) == pytest.approx(width / height)
        assert left >= MARGIN - 0.01 and top >= MARGIN - 0.01
        assert right <= size[0] - MARGIN + 0.01 and bottom <= size[1] - MARGIN + 0.01
    for a, b in itertools.combinations(boxes, 2):
        apart = max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])
        assert apart >= GAP - 0.01
    touched = [max(box[n + 2] for box in boxes) for n in (0, 1)]
    assert any(end == pytest.approx(side - MARGIN) for end, side in zip(touched, size, strict=True))


@pytest.mark.parametrize("down", [False, True])
def test_each_picture_is_drawn_where_it_is_placed(down):
    groups = [[plain("blue"), plain("green")], [plain("gray")]]
    card = draw_card(groups, down=down)
    places = place([[SQUARE, SQUARE], [SQUARE]], SIZE, down, True)
    assert card.size == SIZE and card.getpixel((2, 2)) == ImageColor.getrgb(GROUND)
    for box, colour in zip(itertools.chain(*places), ("blue", "green", "gray"), strict=True):
        assert colour_at(card, box) == ImageColor.getrgb(colour)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("arrows", [False, True])
def test_an_arrow_leads_from_one_group_to_the_next(down, arrows):
    groups = [[plain("blue")], [plain("green"), plain("green")]]
    card = draw_card(groups, down=down, arrows=arrows)
    seen = [ImageColor.getrgb(INK) == colour for _, colour in card.getcolors(1 << 20)]
    assert any(seen) == arrows


def test_people_are_on_discs_and_a_label_is_as_large_as_a_tenth_of_the_card():
    square, disc = (draw_card([[plain("blue", round=round)]]) for round in (False, True))
    (box,) = place([[SQUARE]], SIZE, False, True)[0]
    corner = round(box[0]) + 12, round(box[1]) + 12
    assert square.getpixel(corner) == (0, 0, 255) and disc.getpixel(corner) == ImageColor.getrgb(GROUND)
    labelled = draw_card([[plain("blue", label="10")]])
    changed = [
        y for y in range(SIZE[1]) for x in range(SIZE[0]) if labelled.getpixel((x, y)) != square.getpixel((x, y))
    ]
    assert max(changed) - min(changed) >= SIZE[1] / 10


def test_every_workflow_has_a_recipe():
    assert EMBLEM in RECIPES
    assert {path.stem for path in (CHECKOUT / "workflows").glob("*.json")} == set(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_gives_its_workflow_what_the_pocket_world_has(name):
    recipe = RECIPES[name]
    given = {title: [f"{title}.png"] for title in recipe.pictures}
    workflow = recipe.workflow or name
    prompt = pocket_prompt(workflow, given, recipe.inputs, titles(recipe), recipe.seed)
    twin = json.loads(api_twin(CHECKOUT / "workflows" / f"{workflow}.json").read_text(encoding="utf-8"))
    values = [value for node in prompt.values() for value in node["inputs"].values() if isinstance(value, str)]
    swaps_alone = "Swap" in recipe.shown[-1]  # by the pocket world's swapper, which has the published file's name
    assert not set(values) & STAND_INS.keys() and (swaps_alone or set(values) & set(MODELS.values()))
    loaders = [node for node in prompt.values() if node["class_type"] == "LoadImage"]
    assert {node["inputs"]["image"] for node in loaders} == {names[0] for names in given.values()}
    assert all(prompt[find_title(prompt, f"card: {title}")]["inputs"]["images"][1] == 0 for title in titles(recipe))
    steps = [node["inputs"]["start_step"] for node in prompt.values() if "start_step" in node["inputs"]]
    assert all(step < STEPS for step in steps if isinstance(step, int))
    kept = [prompt[node_id]["class_type"] for node_id in twin]
    assert kept == [node["class_type"] for node in twin.values()]


def test_what_is_counted_in_steps_keeps_its_share():
    sweep = pocket_prompt("CustomEnhancer MSS sweep", {}, {}, (), 0)
    assert sweep[find_title(sweep, "Values of start_step")]["inputs"]["values"] == f"0:{STEPS}:{STEPS // 5}"
    ablation = pocket_prompt("CustomEnhancer ablation", {}, {}, (), 0)
    assert ablation[find_title(ablation, "Pivot and forward flow")]["inputs"]["start_step"] == STEPS // 5


def test_several_pictures_of_a_person_go_to_the_identity_model_together_and_the_first_to_the_swap():
    title, names = "Reference person", ["a.png", "b.png", "c.png"]
    prompt = pocket_prompt("CustomEnhancer PhotoMaker V2.app", {title: names}, {}, (), 0)
    batch = prompt[prompt[find_title(prompt, "Prompt")]["inputs"]["reference_images"][0]]
    assert batch["class_type"] == "ImageBatch"
    loaded = {node["inputs"]["image"] for node in prompt.values() if node["class_type"] == "LoadImage"}
    assert loaded == set(names)
    swap = prompt[find_title(prompt, "Swap the face in")]["inputs"]["reference"]
    assert swap == [find_title(prompt, title), 0] and prompt[swap[0]]["inputs"]["image"] == "a.png"


@pytest.mark.parametrize("name", NAMES)
def test_nobody_and_nothing_on_a_card_was_trained_on(name):
    for each in RECIPES[name].pictures.values():
        for picture in each if isinstance(each, tuple) else (each,):
            drawing = picture.drawing if isinstance(picture, KeyPoints) else picture
            assert drawing.identity.split == drawing.scene.split == "heldout"


def test_a_pose_is_shown_on_the_card_where_the_model_sees_it_and_brighter():
    pose = RECIPES["CustomEnhancer pose control"].pictures["Pose picture"]
    seen, shown = (np.asarray(pose.at(side).convert("L").resize((SIDE, SIDE)), float) for side in (SIDE, SHARP))
    places = [np.argwhere(picture > 20).mean(axis=0) for picture in (seen, shown)]
    assert np.abs(places[0] - places[1]).max() < 2 and shown.sum() > 3 * seen.sum()


def test_icon_and_banner_show_the_person_and_the_scene():
    groups = [[plain("blue", round=True), plain("green")], [plain("gray")]]
    wide, small = banner(groups), icon(groups)
    assert wide.size == BANNER and wide.width * 9 == wide.height * 21
    assert small.size == (400, 400) and small.getpixel((0, 0))[3] == 0
    assert small.getpixel((200, 20)) == (0, 128, 0, 255) and small.getpixel((240, 240)) == (0, 0, 255, 255)
    seen = {colour for _, colour in wide.getcolors(1 << 20)}
    assert {(0, 0, 255), (0, 128, 0), (128, 128, 128)} <= seen

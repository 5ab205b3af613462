"""What is on each workflow's card, and how its pictures are made.

People and scenes are held out of all training. Seeds were chosen for clear pictures: a card shows what a workflow is
for, it measures nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cards.cast import Drawing, KeyPoints, person, portrait
from pocket.world.pose import Pose
from pocket.world.scene import Scene

Part = str | tuple[str, int]  # a node's title, and which of its pictures if not the first


@dataclass(frozen=True)
class Recipe:
    """One card.

    pictures: what the LoadImage nodes get, by title. shown: groups of the card, as `draw_card` takes them, of titles.
    inputs: by a node's title, what its inputs are set to. seed: of the scene's noise. workflow: the stem of the file to
    run, where the pocket world has no model for the card's own. people: the titles that are people, drawn as discs.
    labels: what is written on a part.
    """

    pictures: Mapping[str, Drawing | KeyPoints | tuple[Drawing, ...]]
    shown: tuple[tuple[Part, ...], ...]
    inputs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    seed: int = 0
    workflow: str = ""
    people: tuple[str, ...] = ("Reference person",)
    down: bool = False
    arrows: bool = True
    labels: Mapping[Part, str] = field(default_factory=dict)


SCENE, FINAL, SWAPPED = "Scene", "Final picture", "Swap the face in"
PERSON, BALANCE = "Reference person", "Scene or identity"
BALANCED = {BALANCE: {"balance": "balanced"}}
LATER = {"Pivot and forward flow": {"start_step": 8}}  # the same where a workflow sets the step itself
MIDDLE = Pose(x=0.5, y=0.48, face_width=0.4, garment_colour="red")
BEACH = Scene("beach", "at midday", " sunny", "a sailing boat", seed=3)
SNOW = Scene("mountain", "at midday", " snowy", "pine trees", seed=1)
MEADOW = Scene("mountain", "at midday", " green", "a cabin", seed=4)
FOREST = Scene("forest", "in autumn", " sunny", "a path", seed=2)
DESERT = Scene("desert", "at sunset", "", "red rocks", seed=5)
CITY = Scene("city", "by day", "", "a café", seed=6)
LIBRARY = Scene("library", "in daylight", "", "a globe", seed=7)

ANN, BEA, CLEO, DORA, EVE = (
    portrait(person(number, "woman"), kind)
    for number, kind in ((4, "mountain"), (8, "desert"), (15, "library"), (1, "kitchen"), (10, "forest"))
)
ADAM, BEN, CARL, DAN = (
    portrait(person(number, "man"), kind)
    for number, kind in ((11, "beach"), (15, "mountain"), (6, "library"), (0, "forest"))
)


def _with_person(scene: Scene, seed: int, who: Drawing, trigger: str = " img", **more) -> Recipe:
    """A recipe for a workflow that draws one person in a scene: person and scene, and what comes of them."""
    text = Drawing(scene, MIDDLE, who.identity).caption(trigger)
    pictures = {PERSON: who} | more.pop("pictures", {})
    inputs = {"Prompt": {"text": text}} | more.pop("inputs", {})
    shown = more.pop("shown", ((PERSON, SCENE), (FINAL,)))
    return Recipe(pictures, shown, inputs, seed, **more)


def _rows(title: str, numbers: tuple[int, ...]) -> tuple[tuple[Part, ...], ...]:
    """Six pictures of a node, by their numbers, in two rows."""
    return tuple(tuple((title, number) for number in row) for row in (numbers[:3], numbers[3:]))


RECIPES = {
    "CustomEnhancer PhotoMaker.app": _with_person(BEACH, 6, ANN),
    "CustomEnhancer PhotoMaker V2.app": _with_person(CITY, 2, CLEO, inputs=BALANCED),
    "CustomEnhancer InstantID.app": _with_person(DESERT, 2, DORA, ""),
    "CustomEnhancer LoRA.app": _with_person(
        DESERT,
        7,
        BEN,
        workflow="CustomEnhancer PhotoMaker V2.app",
        pictures={PERSON: tuple(portrait(BEN.identity, kind, 1) for kind in ("beach", "forest", "kitchen"))},
        inputs=BALANCED,
        shown=(((PERSON, 0), (PERSON, 1), (PERSON, 2)), (FINAL,)),
    ),
    "CustomEnhancer pose control": _with_person(
        BEACH,
        8,
        DORA,
        pictures={"Pose picture": KeyPoints(Drawing(BEACH, replace(MIDDLE, tilt=11, x=0.42), EVE.identity))},
        inputs=LATER,
        shown=((PERSON, "Pose picture"), (FINAL,)),
    ),
    "CustomEnhancer scene control": _with_person(
        SNOW,
        6,
        ANN,
        pictures={"Picture of the scene": Drawing(SNOW, MIDDLE, EVE.identity)},
        inputs=LATER,
        shown=((PERSON, "Edges of the scene"), (FINAL,)),
    ),
    # A face this small is not found, and the model, trained on squares, draws two people.
    "CustomEnhancer large scene": Recipe(
        {PERSON: ANN},
        ((PERSON,), (FINAL,)),
        {
            "Prompt": {"text": Drawing(MEADOW, replace(MIDDLE, face_width=0.11), ANN.identity).caption(" img")},
            "Picture size": {"width": 256, "height": 112},
            "Swap the face in": {"no_face": "pass_through"},
        },
        seed=2,
    ),
    "CustomEnhancer ablation": _with_person(
        CITY,
        2,
        ANN,
        shown=((PERSON, SCENE, SWAPPED), ("Full method", "Without the forward flow", "Without the backward flow")),
        down=True,
    ),
    "CustomEnhancer MSS sweep": _with_person(
        CITY,
        2,
        DORA,
        shown=_rows("Final pictures", (0, 1, 2, 3, 4, 5)),
        labels={("Final pictures", number): str(10 * number) for number in range(6)},
        down=True,
        arrows=False,
    ),
    "CustomEnhancer identity fusion": _with_person(
        CITY,
        2,
        DORA,
        pictures={"Person of the swapped face": CLEO},
        shown=((PERSON, "Person of the swapped face"), (("Final pictures", 4),)),
        people=(PERSON, "Person of the swapped face"),
    ),
    "CustomEnhancer many identities": Recipe(
        {PERSON: ANN, "Second person": DORA, "Third person": BEA},
        ((PERSON, "Second person", "Third person"), ("First picture", "Second picture", "Third picture")),
        {
            title: {"text": Drawing(CITY, MIDDLE, ANN.identity).caption(" img")}
            for title in ("Prompt and first identity", "Second identity", "Third identity")
        },
        seed=2,
        people=(PERSON, "Second person", "Third person"),
        down=True,
    ),
    "CustomEnhancer two people": Recipe(
        {"Left person": ANN, "Right person": BEN},
        (("Left person", "Right person"), (FINAL,)),
        {
            "Prompt and left person": {"text": "a close-up of a woman img and a man in a red sweater on a sunny beach"},
            "Prompt and right person": {
                "text": "a close-up of a woman and a man img in a red sweater on a sunny beach"
            },
            "Picture size": {"width": 224, "height": 128},
        },
        people=("Left person", "Right person"),
        seed=1,
    ),
    "CustomEnhancer on a cartoon": Recipe(
        {PERSON: ADAM, "Cartoon": Drawing(CITY, MIDDLE, DAN.identity)},
        ((PERSON, "Cartoon"), (FINAL,)),
        {"Prompt": {"text": Drawing(CITY, MIDDLE, ADAM.identity).caption(" img")}},
    ),
    "CustomEnhancer photo edit.app": Recipe(
        {"Photograph": Drawing(BEACH, MIDDLE, ADAM.identity)},
        (("Photograph",), (FINAL,)),
        {
            "Source prompt": {"text": Drawing(BEACH, MIDDLE, ADAM.identity).caption()},
            "Target prompt": {"text": Drawing(BEACH, MIDDLE, ADAM.identity).caption(time="at sunset")},
        }
        | LATER,
    ),
    "CustomEnhancer ResInversion": Recipe(
        {"Photograph": Drawing(FOREST, MIDDLE, CLEO.identity)},
        (("Photograph",), ("Photograph by DDIM", FINAL)),
        {"Prompt": {"text": Drawing(FOREST, MIDDLE, CLEO.identity).caption()}},
    ),
    "CustomEnhancer identity in the head only": _with_person(
        FOREST, 4, BEA, inputs=BALANCED, shown=((PERSON, SWAPPED), (FINAL,))
    ),
    "Swap and restore a face": Recipe(
        {"Picture": Drawing(SNOW, MIDDLE, DAN.identity), PERSON: BEN},
        ((PERSON, "Picture"), ("Swap", "Swap and restore")),
        down=True,
    ),
    "CustomEnhancer transformation frames": _with_person(
        BEACH, 2, ANN, shown=_rows("Frames", (0, 4, 8, 12, 16, 19)), down=True, arrows=False
    ),
}
EMBLEM = "CustomEnhancer PhotoMaker V2.app"  # whose pictures the icon and the banner are made of

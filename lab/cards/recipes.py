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
MIDDLE = Pose(x=0.5, y=0.48, face_width=0.4, garment_colour="red")
NIGHT = Scene("night sky", "", " aurora-lit", "a tent", seed=0)
BEACH = Scene("beach", "at midday", " sunny", "a sailing boat", seed=3)
SNOW = Scene("mountain", "at midday", " snowy", "pine trees", seed=1)
MEADOW = Scene("mountain", "at midday", " green", "a cabin", seed=4)
FOREST = Scene("forest", "in autumn", " sunny", "a path", seed=2)
DESERT = Scene("desert", "at sunset", "", "red rocks", seed=5)
CITY = Scene("city", "by day", "", "a café", seed=6)
LIBRARY = Scene("library", "in daylight", "", "a globe", seed=7)


def _with_person(scene: Scene, who: Drawing, seed: int, trigger: str = " img", **more) -> Recipe:
    """A recipe for a workflow that draws one person in a scene: person and scene, and what comes of them."""
    wanted = Drawing(scene, replace(MIDDLE, garment_colour=more.pop("colour", "red")), who.identity)
    inputs = {"Prompt": {"text": wanted.caption(trigger)}} | more.pop("inputs", {})
    shown = more.pop("shown", (("Reference person", SCENE), (FINAL,)))
    return Recipe({"Reference person": who} | more.pop("pictures", {}), shown, inputs, seed, **more)


ANN, BEN, CLEO = (
    portrait(person(0, "woman"), "mountain"),
    portrait(person(11, "man"), "beach"),
    portrait(person(10, "woman"), "forest"),
)
DAN, EVE, FRED = (
    portrait(person(6, "man"), "desert"),
    portrait(person(23, "woman"), "beach"),
    portrait(person(18, "man"), "mountain"),
)
GRACE = portrait(person(15, "woman"), "library")
OTHERS = tuple(portrait(FRED.identity, kind, number) for number, kind in enumerate(("mountain", "forest", "city"), 1))

START = "Pivot and forward flow"
RECIPES = {
    "CustomEnhancer with PhotoMaker.app": _with_person(BEACH, ANN, 0),
    "CustomEnhancer with PhotoMaker V2.app": _with_person(NIGHT, CLEO, 0),
    "CustomEnhancer with InstantID.app": _with_person(DESERT, BEN, 0, ""),
    "CustomEnhancer with a LoRA.app": _with_person(
        FOREST,
        FRED,
        0,
        workflow="CustomEnhancer with PhotoMaker V2.app",
        pictures={"Reference person": OTHERS},
        shown=((("Reference person", 0), ("Reference person", 1), ("Reference person", 2)), (FINAL,)),
    ),
    "CustomEnhancer with pose control": _with_person(
        BEACH,
        EVE,
        0,
        pictures={"Pose picture": KeyPoints(Drawing(BEACH, replace(MIDDLE, tilt=11, x=0.42), EVE.identity))},
        shown=(("Reference person", "Pose picture"), (FINAL,)),
    ),
    "CustomEnhancer with scene control": _with_person(
        SNOW,
        ANN,
        0,
        pictures={"Picture of the scene": Drawing(SNOW, MIDDLE, EVE.identity)},
        shown=(("Reference person", "Edges of the scene"), (FINAL,)),
    ),
    "CustomEnhancer large scene": _with_person(
        MEADOW,
        DAN,
        0,
        inputs={"Picture size": {"width": 256, "height": 112}},
        shown=(("Reference person", SCENE), (FINAL,)),
        down=True,
    ),
    "CustomEnhancer ablation": _with_person(
        CITY,
        EVE,
        0,
        shown=(
            ("Reference person", SCENE, SWAPPED),
            ("Full method", "Without the forward flow", "Without the backward flow"),
        ),
        down=True,
    ),
    "CustomEnhancer MSS sweep": _with_person(
        DESERT,
        CLEO,
        0,
        shown=(
            (("Final pictures", 0), ("Final pictures", 1), ("Final pictures", 2)),
            (("Final pictures", 3), ("Final pictures", 4), ("Final pictures", 5)),
        ),
        down=True,
        arrows=False,
        labels={("Final pictures", number): str(10 * number) for number in range(6)},
    ),
    "CustomEnhancer identity fusion": _with_person(
        LIBRARY,
        BEN,
        0,
        pictures={"Person of the swapped face": DAN},
        shown=(("Reference person", "Person of the swapped face"), (("Final pictures", 2),)),
        people=("Reference person", "Person of the swapped face"),
    ),
    "CustomEnhancer many identities": Recipe(
        {"Reference person": ANN, "Second person": CLEO, "Third person": EVE},
        (
            ("Reference person", "Second person", "Third person"),
            ("First picture", "Second picture", "Third picture"),
        ),
        {
            title: {"text": Drawing(BEACH, MIDDLE, ANN.identity).caption(" img")}
            for title in ("Prompt and first identity", "Second identity", "Third identity")
        },
        people=("Reference person", "Second person", "Third person"),
        down=True,
    ),
    "CustomEnhancer two people": Recipe(
        {"Left person": GRACE, "Right person": BEN},
        (("Left person", "Right person"), (FINAL,)),
        {
            "Prompt and left person": {"text": "a close-up of a woman img in a red sweater on a sunny beach"},
            "Prompt and right person": {"text": "a close-up of a man img in a red sweater on a sunny beach"},
            "Picture size": {"width": 224, "height": 128},
        },
        people=("Left person", "Right person"),
        down=True,
    ),
    "CustomEnhancer on a cartoon": Recipe(
        {"Reference person": BEN, "Cartoon": Drawing(CITY, MIDDLE, DAN.identity)},
        (("Reference person", "Cartoon"), (FINAL,)),
        {"Prompt": {"text": Drawing(CITY, MIDDLE, BEN.identity).caption(" img")}},
    ),
    "CustomEnhancer photo edit.app": Recipe(
        {"Photograph": Drawing(MEADOW, MIDDLE, EVE.identity)},
        (("Photograph",), (FINAL,)),
        {
            "Source prompt": {"text": Drawing(MEADOW, MIDDLE, EVE.identity).caption()},
            "Target prompt": {"text": Drawing(MEADOW, MIDDLE, EVE.identity).caption(weather=" snowy")},
        },
    ),
    "CustomEnhancer ResInversion": Recipe(
        {"Photograph": Drawing(BEACH, MIDDLE, GRACE.identity)},
        (("Photograph",), ("Photograph by DDIM", FINAL)),
        {"Prompt": {"text": Drawing(BEACH, MIDDLE, GRACE.identity).caption()}},
    ),
    "CustomEnhancer transformation frames": _with_person(
        MEADOW,
        CLEO,
        0,
        shown=(
            (("Frames", 0), ("Frames", 4), ("Frames", 8)),
            (("Frames", 12), ("Frames", 16), ("Frames", 20)),
        ),
        down=True,
        arrows=False,
    ),
}
# Whose pictures the icon and the banner are made of: a card of two groups, person and scene, and what comes of them.
EMBLEM = "CustomEnhancer with PhotoMaker V2.app"

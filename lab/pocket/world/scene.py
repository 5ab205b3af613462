"""What stands behind the person: the kinds of scene, what a caption can say of each, and the held-out combinations.

Training and held-out scenes are disjoint whatever the seed: of each kind, one in three combinations of time, weather
and feature is held out, so that every word is seen in training and no held-out combination of words is.
"""

from dataclasses import dataclass

import numpy as np

from pocket.world.identity import SPLITS


@dataclass(frozen=True)
class Kind:
    """What a scene of one kind can be. Each value is a piece of a caption; "" says nothing.

    places: ways to say where, with "{weather}" where the weather goes. times, weathers, features: what varies.
    """

    places: tuple[str, ...]
    times: tuple[str, ...]
    weathers: tuple[str, ...]
    features: tuple[str, ...]


KINDS = {
    "library": Kind(
        places=("in a library", "between the shelves of a library", "in a library full of books"),
        times=("in daylight", "by lamplight"),
        weathers=("",),
        features=("an armchair", "a ladder", "a globe"),
    ),
    "beach": Kind(
        places=("on a{weather} beach", "on a{weather} beach by the sea", "at the seaside on a{weather} beach"),
        times=("at midday", "at sunset"),
        weathers=(" sunny", " cloudy"),
        features=("a palm tree", "a parasol", "a sailing boat"),
    ),
    "mountain": Kind(
        places=("in the{weather} mountains", "before{weather} mountains", "high up in the{weather} mountains"),
        times=("at midday", "at sunset"),
        weathers=(" green", " snowy"),
        features=("a lake", "pine trees", "a cabin"),
    ),
    "forest": Kind(
        places=("in a{weather} forest", "in the{weather} woods", "among the trees of a{weather} forest"),
        times=("in summer", "in autumn"),
        weathers=(" sunny", " misty"),
        features=("mushrooms", "a path", "ferns"),
    ),
    "city": Kind(
        places=("on a{weather} city street", "in a{weather} city", "on a{weather} street in the city"),
        times=("by day", "at night"),
        weathers=("", " rainy"),
        features=("a street lamp", "a bus", "a café"),
    ),
    "desert": Kind(
        places=("in a{weather} desert", "in the dunes of a{weather} desert", "in the sand of a{weather} desert"),
        times=("at midday", "at sunset"),
        weathers=("", " hazy"),
        features=("cacti", "red rocks", "an oasis"),
    ),
    "kitchen": Kind(
        places=("in a kitchen", "in a cosy kitchen", "at home in the kitchen"),
        times=("in the morning", "in the evening"),
        weathers=("",),
        features=("a bowl of lemons", "a kettle", "copper pans"),
    ),
    "night sky": Kind(
        places=("under a{weather} night sky", "at night under a{weather} sky", "at night below a{weather} sky"),
        times=("",),
        weathers=(" starry", " aurora-lit"),
        features=("a full moon", "a tent", "a shooting star"),
    ),
}


@dataclass(frozen=True)
class Scene:
    """A scene: its kind, one of KINDS; time, weather and feature, of that kind's; seed: where everything else lies."""

    kind: str
    time: str
    weather: str
    feature: str
    seed: int

    @property
    def light(self) -> tuple[float, float, float]:
        """The colour of the light that falls on a person: (1, 1, 1) is white."""
        if self.kind == "night sky" or self.time == "at night":
            return (0.90, 0.88, 0.97)
        if self.time in ("by lamplight", "in the evening"):
            return (1.0, 0.92, 0.80)
        if self.time == "at sunset":
            return (1.0, 0.92, 0.87)
        return (0.94, 0.96, 0.97) if self.weather in (" rainy", " misty", " cloudy") else (1.0, 1.0, 1.0)

    @property
    def split(self) -> str:
        """The split this scene belongs to: "train" or "heldout"."""
        kind = KINDS[self.kind]
        number = kind.times.index(self.time) + kind.weathers.index(self.weather) + kind.features.index(self.feature)
        return SPLITS[number % 3 == 2]


def sample_scene(rng: np.random.Generator, split: str | None = "train", kind: str | None = None) -> Scene:
    """Draw a scene of `split` ("train", "heldout"; None for either), of one of KINDS if given.

    Raises ValueError for another split or kind.
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"split: {split!r} is none of {SPLITS}")
    if kind not in (None, *KINDS):
        raise ValueError(f"kind: {kind!r} is none of {tuple(KINDS)}")
    kind = kind or tuple(KINDS)[rng.integers(len(KINDS))]
    choices = KINDS[kind]
    while True:
        time, weather, feature = (
            values[rng.integers(len(values))] for values in (choices.times, choices.weathers, choices.features)
        )
        scene = Scene(kind, time, weather, feature, seed=int(rng.integers(2**31)))
        if split in (None, scene.split):
            return scene

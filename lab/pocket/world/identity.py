"""Who is drawn: the visible attributes that a caption never names.

Training and held-out identities are disjoint whatever the seed: one in five combinations of hair style, glasses and
beard is held out, so that every single attribute is seen in training and no held-out combination is.
"""

from dataclasses import dataclass

import numpy as np

WORDS = ("woman", "man")
STYLES = ("bald", "short", "quiff", "curly", "afro", "bob", "long", "bun", "ponytail", "braids")
GLASSES = ("none", "round", "square")
BEARDS = ("none", "stubble", "moustache", "full")
SPLITS = ("train", "heldout")

# How often a woman and a man of this world wears each.
STYLE_SHARES = {
    "woman": (0.02, 0.08, 0.03, 0.13, 0.10, 0.16, 0.17, 0.11, 0.11, 0.09),
    "man": (0.14, 0.27, 0.21, 0.15, 0.10, 0.02, 0.04, 0.04, 0.03, 0.0),
}
GLASSES_SHARES = (0.56, 0.23, 0.21)
BEARD_SHARES = {"woman": (1.0, 0.0, 0.0, 0.0), "man": (0.40, 0.18, 0.15, 0.27)}


@dataclass(frozen=True)
class Identity:
    """A face. Numbers without a unit run from 0 to 1.

    word: "woman" or "man", which a caption may say. skin, hair, eyes: positions along colours.SKIN, HAIR and EYES.
    face_width, eye_distance, eye_size, nose_size, mouth_width: factors of the average. chin: short to long.
    jaw: pointed to square. hair_volume: flat to full. brow_thickness: thin to thick. brow_angle: -1 (worried) to 1
    (stern). freckles: 0 is none. lips: pale to red.
    """

    word: str
    skin: float
    hair: float
    hair_style: str
    hair_volume: float
    eyes: float
    eye_distance: float
    eye_size: float
    face_width: float
    chin: float
    jaw: float
    brow_thickness: float
    brow_angle: float
    glasses: str
    beard: str
    freckles: float
    nose_size: float
    mouth_width: float
    lips: float

    @property
    def split(self) -> str:
        """The split this identity belongs to: "train" or "heldout"."""
        number = STYLES.index(self.hair_style) + 2 * GLASSES.index(self.glasses) + BEARDS.index(self.beard)
        return SPLITS[number % 5 == 3]


def sample_identity(rng: np.random.Generator, split: str | None = "train", word: str | None = None) -> Identity:
    """Draw an identity of `split` ("train", "heldout"; None for either), of `word` if one is given.

    Raises ValueError for another split or word.
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"split: {split!r} is none of {SPLITS}")
    if word not in (None, *WORDS):
        raise ValueError(f"word: {word!r} is none of {WORDS}")
    while True:
        identity = _sample(rng, word or WORDS[rng.integers(2)])
        if split in (None, identity.split):
            return identity


def _sample(rng: np.random.Generator, word: str) -> Identity:
    man = word == "man"
    style = str(rng.choice(STYLES, p=STYLE_SHARES[word]))
    # Afros and curls go with darker hair more often than not; everything else is independent.
    hair = rng.beta(0.8, 2.6) if style == "afro" else rng.uniform()
    return Identity(
        word=word,
        skin=rng.uniform(),
        hair=hair,
        hair_style=style,
        hair_volume=rng.uniform(),
        eyes=rng.uniform(),
        eye_distance=rng.uniform(0.86, 1.16),
        eye_size=rng.uniform(0.85, 1.18),
        face_width=rng.uniform(0.86, 1.0) if not man else rng.uniform(0.9, 1.06),
        chin=rng.uniform(),
        jaw=rng.uniform(0.0, 0.6) if not man else rng.uniform(0.3, 1.0),
        brow_thickness=rng.uniform(0.0, 0.6) if not man else rng.uniform(0.35, 1.0),
        brow_angle=rng.uniform(-1, 1),
        glasses=str(rng.choice(GLASSES, p=GLASSES_SHARES)),
        beard=str(rng.choice(BEARDS, p=BEARD_SHARES[word])),
        freckles=rng.uniform(0.4, 1.0) if rng.uniform() < 0.3 else 0.0,
        nose_size=rng.uniform(0.7, 1.5),
        mouth_width=rng.uniform(0.72, 1.38),
        lips=rng.uniform(0.0, 0.3) if man else rng.uniform(0.25, 1.0),
    )

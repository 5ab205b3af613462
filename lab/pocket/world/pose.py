"""How and where the person stands, and what the person wears: all that is neither the scene nor the identity."""

from dataclasses import dataclass

import numpy as np

from pocket.world.colours import CLOTHES

SHOTS = ("full figure", "half figure", "close-up")
GESTURES = ("standing", "waving", "hands on hips", "arms behind")
GARMENTS = ("sweater", "t-shirt", "jacket", "hoodie", "coat", "dress")
BOTTOMS = ("trousers", "shorts", "skirt")

# Shares of the picture's side: from these face widths on, the feet (the waist) are out of the picture.
HALF_FIGURE, CLOSE_UP = 0.135, 0.33
FEET = 11.7  # below the face's middle, in half face widths


@dataclass(frozen=True)
class Pose:
    """Lengths are shares of the picture's side.

    x, y: the face's middle. face_width: ear to ear of an average face. tilt: degrees, positive is clockwise as seen.
    yaw: degrees, positive turns the nose to the right as seen. smile: 0 to 1, open from 0.65 on. build: shoulders, a
    factor. gesture: one of GESTURES; left: whether the arm on the left as seen makes it. garment and bottom with the
    names of their colours (colours.CLOTHES); bottom is "" with a dress. striped: the garment. scarf: its colour or "".
    """

    x: float
    y: float
    face_width: float
    tilt: float = 0.0
    yaw: float = 0.0
    smile: float = 0.4
    build: float = 1.0
    gesture: str = "standing"
    left: bool = False
    garment: str = "sweater"
    garment_colour: str = "blue"
    striped: bool = False
    bottom: str = "trousers"
    bottom_colour: str = "brown"
    scarf: str = ""

    @property
    def shot(self) -> str:
        """The kind of picture this is, one of SHOTS, by the width of the face."""
        return SHOTS[int(self.face_width >= HALF_FIGURE) + int(self.face_width >= CLOSE_UP)]


def sample_pose(rng: np.random.Generator, shot: str | None = None, word: str = "woman") -> Pose:
    """Draw a pose of one of SHOTS (None: any), the whole face within the picture, in clothes that a `word` wears.

    Raises ValueError for another shot.
    """
    if shot not in (None, *SHOTS):
        raise ValueError(f"shot: {shot!r} is none of {SHOTS}")
    shot = shot or SHOTS[rng.integers(len(SHOTS))]
    if shot == "full figure":
        width = rng.uniform(0.09, HALF_FIGURE)
        x, y = rng.uniform(0.2, 0.8), rng.uniform(0.9, 0.97) - FEET * width / 2
    elif shot == "half figure":
        width = np.exp(rng.uniform(np.log(HALF_FIGURE), np.log(CLOSE_UP)))
        x, y = rng.uniform(0.27, 0.73), rng.uniform(0.12 + width, 0.2 + width)
    else:
        width = rng.uniform(CLOSE_UP, 0.55)
        x, y = rng.uniform(0.4, 0.6), rng.uniform(0.42, 0.55)
    garment = str(rng.choice(GARMENTS if word == "woman" else GARMENTS[:-1]))
    colour, second = rng.choice(list(CLOTHES), 2, replace=False).tolist()
    bottoms = BOTTOMS if word == "woman" else BOTTOMS[:-1]
    return Pose(
        x=float(x),
        y=float(y),
        face_width=float(width),
        tilt=rng.uniform(-11, 11),
        yaw=rng.uniform(-18, 18),
        smile=rng.uniform(),
        build=rng.uniform(0.88, 1.12),
        gesture=str(rng.choice(GESTURES, p=(0.4, 0.25, 0.2, 0.15))),
        left=bool(rng.integers(2)),
        garment=garment,
        garment_colour=colour,
        striped=garment in ("sweater", "t-shirt") and rng.uniform() < 0.3,
        bottom="" if garment == "dress" else str(rng.choice(bottoms)),
        bottom_colour=second,
        scarf=str(rng.choice(list(CLOTHES))) if garment in ("coat", "jacket") and rng.uniform() < 0.4 else "",
    )

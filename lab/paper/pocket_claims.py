"""The orderings that the paper claims for PhotoMaker, with its numbers, beside those that are measured."""

from paper.claims import Claim
from paper.methods import DDIM, FULL_PHOTOMAKER, NO_BACKWARD, NO_FORWARD, PHOTOMAKER, SCENE, SWAPPED, title

# Column, the method that is to be higher and the one below it, the paper's numbers, their place.
CLAIMS = [
    ("similarity", FULL_PHOTOMAKER, PHOTOMAKER, "67.3 > 55.7", "table I"),
    ("similarity", FULL_PHOTOMAKER, SWAPPED, "67.3 > 63.5", "tables I, IV"),
    ("similarity", FULL_PHOTOMAKER, NO_FORWARD, "67.3 > 63.5", "tables I, IV"),
    ("similarity", FULL_PHOTOMAKER, NO_BACKWARD, "67.3 > 55.1", "tables I, IV"),
    ("similarity", SWAPPED, PHOTOMAKER, "63.5 > 55.7", "tables I, IV"),
    ("similarity", PHOTOMAKER, SCENE, "55.7 > 18.7", "tables I, IV"),
    ("diversity", FULL_PHOTOMAKER, PHOTOMAKER, "60.0 > 52.2", "table I"),
    ("diversity", FULL_PHOTOMAKER, NO_BACKWARD, "60.0 > 50.6", "tables I, IV"),
    ("diversity", FULL_PHOTOMAKER, SCENE, "60.0 > 58.2", "tables I, IV"),
    ("fidelity", FULL_PHOTOMAKER, PHOTOMAKER, "31.7 > 27.8 (CLIP-T)", "table I"),
    ("background", PHOTOMAKER, FULL_PHOTOMAKER, "the background stays", "figure 8"),
    ("background", NO_BACKWARD, FULL_PHOTOMAKER, "the backward flow brings the scene back", "section IV-C"),
    ("background", DDIM, NO_FORWARD, "DDIM inversion does not reconstruct", "section IV-B"),
]


def pocket_claims() -> list[Claim]:
    """The claims with the methods' titles."""
    return [(column, title(higher), title(lower), *said) for column, higher, lower, *said in CLAIMS]

"""The orderings that the paper claims for PhotoMaker, with its numbers, beside those that are measured."""

from benchmarks.pocket_rows import DDIM, FULL, NO_BACKWARD, NO_FORWARD, PERSONALISED, SCENE, SWAPPED

# As in intervals.judged: column, the row that is to be higher and the one below it, the paper's numbers, their place.
CLAIMS = [
    ("similarity", FULL, PERSONALISED, "67.3 > 55.7", "table I"),
    ("similarity", FULL, SWAPPED, "67.3 > 63.5", "tables I, IV"),
    ("similarity", FULL, NO_FORWARD, "67.3 > 63.5", "tables I, IV"),
    ("similarity", FULL, NO_BACKWARD, "67.3 > 55.1", "tables I, IV"),
    ("similarity", SWAPPED, PERSONALISED, "63.5 > 55.7", "tables I, IV"),
    ("similarity", PERSONALISED, SCENE, "55.7 > 18.7", "tables I, IV"),
    ("diversity", FULL, PERSONALISED, "60.0 > 52.2", "table I"),
    ("diversity", FULL, NO_BACKWARD, "60.0 > 50.6", "tables I, IV"),
    ("diversity", FULL, SCENE, "60.0 > 58.2", "tables I, IV"),
    ("fidelity", FULL, PERSONALISED, "31.7 > 27.8 (CLIP-T)", "table I"),
    ("background", PERSONALISED, FULL, "the background stays", "figure 8"),
    ("background", NO_BACKWARD, FULL, "the backward flow brings the scene back", "section IV-C"),
    ("background", DDIM, NO_FORWARD, "DDIM inversion does not reconstruct", "section IV-B"),
]

"""The pocket benchmark as Markdown: what was measured, the table, the paper's orderings and the curves' numbers."""

from benchmarks.pocket_columns import COLUMNS
from benchmarks.tables import table

NOTES = """\
- People, scenes and their combinations are held out of every training. Each person has prompts of its own, in the
  eight kinds of scene in turn; the same prompts, and the scene's own noise, go into every row.
- Face similarity: the mean cosine, ×100, of antelopev2's embedding with those of four other close-ups of the person, as
  the paper averages over a person's other pictures. Neither swapper nor identity encoder was trained with that
  recogniser. A picture in which no face is found counts as 0; the next column says how many do.
- Scene accuracy: the share of pictures in which the scene classifier sees the kind that the prompt names.
- Scene diversity: the paper's measure, the mean perceptual distance (×100) between two pictures of a person, the head
  left out. In place of LPIPS: 1 − the cosine of the features in the scene classifier's four layers.
- Prompt fidelity, in place of CLIP-T: the mean of the classifier's probability of the kind of scene and of whether the
  colour below the face is nearest to that of the clothes which the prompt names.
- Background distance: the root mean square (×100, of pictures 0 to 1) of the difference to the scene's picture, outside
  of the box of its head.
- The paper samples in 50 steps; a run of fewer says so above. MSS is a fifth of the steps, as the nodes' default is.
- Guider calls: of one picture, from its prompt on.
- Intervals: 95 %, bootstrapped over people, each with all its pictures. A claim holds where the interval of its
  difference within people is above 0, is reversed where it is below, and is undecided otherwise.
- "Without backward flow" and "DDIM inversion instead of ResInversion" are one algorithm by two ways, BiMD Sampler with
  a backward scale of 0 and Euler from the pivot's end: how far they differ is rounding.
- "Identity from MSS on" is how PhotoMaker's own pipeline samples (start_merge_step)."""


def markdown(results: dict) -> str:
    """The whole page. results: as in the JSON file."""
    about = "\n".join(f"- {name}: {value}" for name, value in results["about"].items())
    parts = ["# Pocket world benchmark: the paper's tables in miniature", about]
    parts += ["## Table", _rows(results), "## The paper's orderings", _claims(results["claims"])]
    parts += ["## Over the starting step (figure 10)", _points(results["mss"])]
    parts += ["## Identity fusion (figure 11 a)", _points(results["fusion"]), "## Notes", NOTES]
    return "\n\n".join(parts) + "\n"


def _rows(results: dict) -> str:
    lines = [
        [row, *(_interval(columns[column]) for column in COLUMNS), str(results["guider_calls"][row])]
        for row, columns in results["rows"].items()
    ]
    return table(["%", *COLUMNS.values(), "guider calls"], lines)


def _interval(value: dict[str, float]) -> str:
    return f"{value['mean']:.1f} ({value['low']:.1f} … {value['high']:.1f})"


def _claims(claims: list[dict]) -> str:
    lines = [
        [
            f"{COLUMNS[claim['column']]}: {claim['higher']} > {claim['lower']}",
            f"{claim['paper']} ({claim['place']})",
            _interval(claim["difference"]),
            claim["verdict"],
        ]
        for claim in claims
    ]
    return table(["claim", "the paper", "measured difference", "here"], lines)


def _points(points: list[dict]) -> str:
    names = list(points[0])
    lines = [[f"{point[name]:.4g}" for name in names] for point in points]
    return table([name.replace("_", " ") for name in names], lines)

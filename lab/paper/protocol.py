"""PROTOCOL.md's short form, which is printed with every table, and the numbers that a run takes from it."""

from pathlib import Path

FILE = Path(__file__).with_name("PROTOCOL.md")
HEADING = "## In short"

IDENTITIES, MORE_THAN = 30, 20  # people, and how many pictures each has more than
PER_PROMPT = 1  # pictures of each prompt, method and identity
SIZE, STEPS, CFG = 1024, 50, 5.0
START_STEP = 10  # MSS, where it is not varied
FIGURE_STARTS, FIGURE_SCALES = (0, 10, 20, 30, 40), (2.0,)  # figure 10: MSS of so many steps, and the forward scale
SEED = 0  # of references, noise and intervals


def in_short() -> str:
    """The list below HEADING."""
    text = FILE.read_text(encoding="utf-8")
    return text[text.index(HEADING) + len(HEADING) :].split("\n## ")[0].strip()


def figure_starts(steps: int) -> list[int]:
    """Figure 10's starting steps, scaled to a schedule of so many."""
    return sorted({round(start * steps / STEPS) for start in FIGURE_STARTS})


def noise_seed(identity_number: int, prompt: int, picture: int = 0) -> int:
    """The seed of the noise for one identity and prompt: the same for every method.

    identity_number: its place among the identities, from 0. prompt: its number, from 1. picture: its place among those
    of the prompt, from 0.
    """
    return 1_000_000 * picture + 10_000 * SEED + 100 * identity_number + prompt

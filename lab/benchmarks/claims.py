"""The measurements beside the table: what our own parts cost, and how cost grows with steps, batch and steps a call."""

import random
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from benchmarks.measuring import in_turns, ratio
from benchmarks.methods import NULL_TEXT, OURS, ddim, euler, res_inversion
from benchmarks.nodes import node
from benchmarks.subjects import Subject, sample

PAIRS = 10  # of two runs whose seconds are near each other, for each repeat of the other measurements


def of_table(rows: Sequence[dict]) -> list[dict]:
    """For each number of steps and cfg of the table: ResInversion's calls and error, null text's counts and seconds.

    null_text_limits: the original's most forwards and backwards, 14 and 10 a step for each picture.
    """
    cells = {}
    for row in rows:
        cells.setdefault((row["steps"], row["cfg"]), {})[row["method"]] = row
    return [
        {
            "steps": steps,
            "cfg": cfg,
            "res_inversion_guider_calls": cell[OURS]["guider_calls"],
            "res_inversion_max_error": cell[OURS]["max_error"],
            "null_text_forwards": cell[NULL_TEXT]["forwards"],
            "null_text_backwards": cell[NULL_TEXT]["backwards"],
            "null_text_limits": [14 * steps, 10 * steps],
            "null_text_over_res_inversion": ratio(cell[NULL_TEXT]["seconds"], cell[OURS]["seconds"]),
        }
        for (steps, cfg), cell in cells.items()
    ]


def over(one: Callable[[], object], other: Callable[[], object], repeats: int, rng: random.Random, title: str) -> dict:
    """The seconds of one run over another's: the median of PAIRS pairs for each repeat, and the quartiles.

    A pair differs by more than what is looked for, so that a few of them say little.
    """
    seconds = in_turns({"one": one, "other": other}, PAIRS * repeats, rng, title)
    ratios = [first / second for first, second in zip(seconds["one"], seconds["other"], strict=True)]
    low, middle, high = (float(found) for found in np.percentile(ratios, [25, 50, 75]))
    return {"ratio": middle, "quartiles": [low, high], "pairs": len(ratios), "seconds": seconds}


def res_inversion_over_ddim(
    subject: Subject, steps: int, cfgs: Sequence[float], repeats: int, rng: random.Random
) -> list[dict]:
    """`over` of ResInversion and DDIM inversion, at each cfg."""
    sigmas = subject.sigmas(steps)

    def run(method, cfg):
        return lambda: method(subject, sigmas, cfg)

    return [
        {"steps": steps, "cfg": cfg}
        | over(run(res_inversion, cfg), run(ddim, cfg), repeats, rng, f"ResInversion against DDIM, cfg {cfg:g}")
        for cfg in cfgs
    ]


def bimd_over_euler(subject: Subject, steps: int, repeats: int, rng: random.Random) -> dict:
    """`over` of BiMD's sampler and the host's Euler, with the same guider and schedule."""
    sigmas = subject.sigmas(steps)
    inverted = res_inversion(subject, sigmas, 5.0)

    def run(sampler):
        return lambda: sample(inverted.guider, sampler, sigmas, inverted.latent)

    return {"steps": steps} | over(run(inverted.sampler), run(euler()), repeats, rng, "BiMD against Euler")


def batched_recording(subject: Subject, steps: int, sizes: Sequence[int], repeats: int, rng: random.Random) -> dict:
    """How many times as fast residual noise is recorded with several steps a guider call as with one; by the number."""
    sigmas, guider = subject.sigmas(steps), subject.guider(5.0)
    pivot = node("CE_NoisePivot").execute(subject.model, sigmas, subject.latent).result[0]

    def run(size):
        return lambda: node("CE_RecordResidualNoise").execute(guider, pivot, size)

    seconds = in_turns({size: run(size) for size in (1, *sizes)}, repeats, rng, "steps a call")
    return {"steps": steps, "speed_up": {size: ratio(seconds[1], seconds[size]) for size in sizes}, "seconds": seconds}


def linear_fit(x: Sequence[float], y: Sequence[float]) -> dict:
    """Least squares of y = slope * x + intercept, with R^2."""
    slope, intercept = np.polyfit(x, y, 1)
    left = np.square(np.array(y) - (slope * np.array(x) + intercept)).sum()
    return {
        "x": list(x),
        "y": list(y),
        "slope": float(slope),
        "intercept": float(intercept),
        "r_squared": float(1 - left / np.square(np.array(y) - np.mean(y)).sum()),
    }


def growth(subject: Subject, steps: Sequence[int], batches: Sequence[int], repeats: int, rng: random.Random) -> dict:
    """ResInversion's median seconds against the number of steps, and against the batch at the fewest steps; fitted."""

    def run(count, pictures):
        several = subject.batch_of(pictures)
        return lambda: res_inversion(several, several.sigmas(count), 5.0)

    by_steps = in_turns({count: run(count, 1) for count in steps}, repeats, rng, "growth with steps")
    by_batch = in_turns({pictures: run(steps[0], pictures) for pictures in batches}, repeats, rng, "growth with batch")
    return {
        "steps": linear_fit(steps, [median(by_steps[count]) for count in steps]),
        "batch": linear_fit(batches, [median(by_batch[pictures]) for pictures in batches]),
    }

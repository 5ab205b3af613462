"""The paper's figures 10 and 11 (a) in miniature: the method over its starting step, and two people fused."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from benchmarks.pocket_cases import Case, Person, held_out_person
from benchmarks.pocket_flows import Drawn, Inverted, Settings, invert, mixed
from benchmarks.pocket_judges import Judges, background_distance, likeness, views_of
from benchmarks.pocket_models import Models

STARTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)  # MSS in shares of the steps; at 1 the forward flow is off
SCALES = (1.0, 2.0)  # of the forward flow; 2 is the paper's doubled manipulation scale


def over_starts(models: Models, inverted: Inverted, steps: int, starts: Sequence[float]) -> list[tuple[dict, Drawn]]:
    """The pictures of every scale and MSS, each with {"scale", "start_step"}."""
    drawn = []
    for scale, start_step in product(SCALES, sorted({round(share * steps) for share in starts})):
        forward_scale = scale if start_step < steps else 0.0
        drawn.append(({"scale": scale, "start_step": start_step}, mixed(models, inverted, start_step, forward_scale)))
    return drawn


def mss_curve(models: Models, judges: Judges, case: Case, settings: Settings, starts: Sequence[float]) -> list[dict]:
    """Figure 10: similarity to the person, and the background's distance to the scene, in percent."""
    inverted = invert(models, case, settings)
    views, scene = views_of(judges, case.person), judges.look(inverted.scene.pictures)
    points = []
    for at, drawn in over_starts(models, inverted, settings.steps, starts):
        similarity = likeness(judges.look(drawn.pictures), views)
        background = background_distance(drawn.pictures, scene)
        at |= {"similarity": 100 * similarity.mean().item(), "background": 100 * background.mean().item()}
        points.append(at)
    return points


def partner(case: Case, seed: int = 0) -> Person:
    """Someone to fuse with, whom the prompts name by the same word."""
    return held_out_person(np.random.default_rng([seed, case.seed, 1]), case.person.identity.word)


def fusion_curve(
    models: Models, judges: Judges, case: Case, other: Person, settings: Settings, starts: Sequence[float]
) -> list[dict]:
    """Figure 11 (a): the case's person in the forward flow, another swapped in; similarity to both, in percent."""
    inverted = invert(models, case, settings, swap_in=other.reference)
    people = {"forward": views_of(judges, case.person), "backward": views_of(judges, other)}
    points = []
    for at, drawn in over_starts(models, inverted, settings.steps, starts):
        seen = judges.look(drawn.pictures)
        points.append(at | {name: 100 * likeness(seen, views).mean().item() for name, views in people.items()})
    return points


def mean_curve(curves: Sequence[list[dict]]) -> list[dict]:
    """The mean over people, point by point."""
    return [
        {name: float(np.mean([point[name] for point in points])) for name in points[0]}
        for points in zip(*curves, strict=True)
    ]


def series(points: Sequence[dict], names: dict[str, str]) -> dict[str, tuple[list, list]]:
    """What `draw_series` draws: a line for each scale and each of `names`, which are labelled as they say."""
    return {
        f"{label}, f = {scale:g}": tuple(
            [point[axis] for point in points if point["scale"] == scale] for axis in ("start_step", name)
        )
        for name, label in names.items()
        for scale in SCALES
    }

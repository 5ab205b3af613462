"""Whom and what the pocket benchmark draws: people, prompts and scenes that no training shows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from world.caption import caption
from world.identity import Identity, sample_identity
from world.pose import Pose, sample_pose
from world.render import render
from world.scene import KINDS, Scene, sample_scene

SHOT = "half figure"  # as large as a face gets while a scene is still a scene
TRIGGER = "img"
VIEWS = 4  # other pictures of a person, which likeness is measured against


@dataclass(frozen=True)
class Case:
    """One person with a batch of prompts. identity: the renderer's. seed: of the noise that the scenes start from.

    reference: (1, 128, 128, 3), 0 .. 1, the close-up that the method gets. views: (VIEWS, 128, 128, 3), 0 .. 1, other
    close-ups of the same person. texts: B prompts with the trigger; described: scene and pose that each tells of.
    """

    identity: Identity
    reference: Tensor
    views: Tensor
    texts: list[str]
    described: list[tuple[Scene, Pose]]
    seed: int


def held_out_case(number: int, prompts: int, seeds: int, seed: int = 0) -> Case:
    """Case `number` (0, 1, ...): a person and `prompts` prompts of its own, each `seeds` times in a row.

    The prompts take the kinds of scene in turn. Neither person nor scenes are of the training's split.
    """
    rng = np.random.default_rng([seed, number])
    identity = sample_identity(rng, "heldout")
    kinds = [tuple(KINDS)[prompt % len(KINDS)] for prompt in range(prompts)]
    described = [(sample_scene(rng, "heldout", kind), sample_pose(rng, SHOT, identity.word)) for kind in kinds]
    described = [pair for pair in described for _ in range(seeds)]
    texts = [caption(scene, pose, f"{identity.word} {TRIGGER}") for scene, pose in described]
    closeups = _closeups(identity, rng, 1 + VIEWS)
    return Case(identity, closeups[:1], closeups[1:], texts, described, seed=1000 * seed + number)


def _closeups(identity: Identity, rng: np.random.Generator, count: int) -> Tensor:
    pixels = [
        render(sample_scene(rng, "heldout"), sample_pose(rng, "close-up", identity.word), identity).pixels
        for _ in range(count)
    ]
    return torch.from_numpy(np.stack(pixels)).float() / 255

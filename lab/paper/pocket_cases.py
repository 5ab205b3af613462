"""Whom and what the bench draws on the pocket world: people, prompts and scenes that no training shows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pocket.world.caption import caption
from pocket.world.identity import Identity, sample_identity
from pocket.world.pose import Pose, sample_pose
from pocket.world.render import render
from pocket.world.scene import KINDS, Scene, sample_scene

SHOT = "close-up"  # that prompts ask for: the detector finds no face in the model's half figures
TRIGGER = "img"
VIEWS = 4  # other pictures of a person, which likeness is measured against


@dataclass(frozen=True)
class Person:
    """identity: the renderer's. Pictures are (N, 128, 128, 3), 0 .. 1, close-ups in other scenes and poses.

    reference: the one that the method gets. views: VIEWS others.
    """

    identity: Identity
    reference: Tensor
    views: Tensor


@dataclass(frozen=True)
class Case:
    """One person with a batch of prompts. seed: of the noise that the scenes start from.

    texts: B prompts with the trigger. described: the scene and the pose that each tells of.
    """

    person: Person
    texts: list[str]
    described: list[tuple[Scene, Pose]]
    seed: int


def held_out_person(rng: np.random.Generator, word: str | None = None) -> Person:
    """Draw someone whom no training shows, a `word` ("woman", "man") if one is given."""
    identity = sample_identity(rng, "heldout", word)
    pixels = [
        render(sample_scene(rng, "heldout"), sample_pose(rng, "close-up", identity.word), identity).pixels
        for _ in range(1 + VIEWS)
    ]
    closeups = torch.from_numpy(np.stack(pixels)).float() / 255
    return Person(identity, closeups[:1], closeups[1:])


def held_out_case(number: int, prompts: int, pictures: int, seed: int = 0) -> Case:
    """Case `number` (0, 1, ...): a person, and `prompts` prompts of its own, each `pictures` times in a row.

    They ask for close-ups and take the kinds of scene in turn. Neither the person nor a scene is of the training's
    split.
    """
    rng = np.random.default_rng([seed, number])
    person = held_out_person(rng)
    word = person.identity.word
    kinds = [tuple(KINDS)[prompt % len(KINDS)] for prompt in range(prompts)]
    described = [(sample_scene(rng, "heldout", kind), sample_pose(rng, SHOT, word)) for kind in kinds]
    described = [pair for pair in described for _ in range(pictures)]
    texts = [caption(scene, pose, f"{word} {TRIGGER}") for scene, pose in described]
    return Case(person, texts, described, seed=1000 * seed + number)


def partner(case: Case, seed: int = 0) -> Person:
    """Someone to fuse with, whom the prompts name by the same word."""
    return held_out_person(np.random.default_rng([seed, case.seed, 1]), case.person.identity.word)

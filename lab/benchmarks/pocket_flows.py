"""The method on one case, through the nodes: guiders, inversion, and sampling with the flows mixed at will.

A whole batch of prompts goes through every node at once: conditionings are stacked as latents are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nodes
import torch
from comfy_extras.nodes_custom_sampler import (
    BasicScheduler,
    CFGGuider,
    DisableNoise,
    KSamplerSelect,
    RandomNoise,
    SamplerCustomAdvanced,
)
from torch import Tensor

from benchmarks.counting import counted
from benchmarks.nodes import node
from benchmarks.pocket_cases import TRIGGER, Case
from benchmarks.pocket_models import Models

SCHEDULER = "ddim_uniform"  # with euler: DDIM, as in the shipped workflows
SIZE = 128


@dataclass(frozen=True)
class Settings:
    """steps: of every sampling. cfg: of every guider. start_step: MSS, counted from the noisiest step."""

    steps: int
    cfg: float
    start_step: int


@dataclass(frozen=True)
class Drawn:
    """pictures: (B, H, W, 3), 0 .. 1. guider_calls: that a picture took in all, from its prompt on."""

    pictures: Tensor
    guider_calls: int


@dataclass(frozen=True)
class Flows:
    """Guiders of one batch: the stock model's, and of the personalised model without and with the identity."""

    stock: object
    pivot: object
    forward: object
    sigmas: Tensor


@dataclass(frozen=True)
class Inverted:
    """A batch on its way: scene, the same with the face swapped in, and what ResInversion makes of that.

    latent: LATENT, the noisy end of the pivot; encoded: LATENT, the swapped pictures. guider_calls: so far.
    """

    flows: Flows
    scene: Drawn
    swapped: Drawn
    encoded: dict
    residual_noise: object
    latent: dict
    guider_calls: int


def stacked(conditionings: Sequence[list]) -> list:
    """Conditionings of one entry each as one CONDITIONING for a batch of as many pictures, in their order."""
    (conds, extras) = zip(*(entry for (entry,) in conditionings), strict=True)
    pooled = torch.cat([extra["pooled_output"] for extra in extras])
    return [[torch.cat(conds), {**extras[0], "pooled_output": pooled}]]


def flows_of(models: Models, case: Case, settings: Settings) -> Flows:
    """The guiders for a case's prompts and person."""
    encoded = {
        text: node("CE_PhotoMakerForwardFlow")
        .execute(
            models.model,
            models.clip,
            models.photomaker,
            case.person.reference,
            text,
            trigger=TRIGGER,
            face_analysis=models.face_analysis,
        )
        .result
        for text in dict.fromkeys(case.texts)
    }
    personalised = encoded[case.texts[0]][0]
    identity, free = (stacked([encoded[text][place] for text in case.texts]) for place in (1, 2))
    negative = nodes.CLIPTextEncode().encode(models.clip, "")[0]

    def guider(model, positive):
        return CFGGuider.execute(model, positive, negative, settings.cfg).result[0]

    return Flows(
        stock=guider(models.model, free),
        pivot=guider(personalised, free),
        forward=guider(personalised, identity),
        sigmas=BasicScheduler.execute(models.model, SCHEDULER, settings.steps, 1.0).result[0],
    )


def euler():
    """The host's Euler sampler."""
    return KSamplerSelect.execute("euler").result[0]


def joined(flows: Flows, start_step: int, forward_scale: float = 1.0):
    """The pivot flow that goes over to the forward flow at `start_step`, a GUIDER."""
    return node("CE_TripleFlowGuider").execute(flows.pivot, flows.forward, start_step, forward_scale).result[0]


def from_noise(models: Models, case: Case, guider, sigmas: Tensor) -> Drawn:
    """Sample the case's own noise with a guider: scenes, and the personalised model alone."""
    noise = RandomNoise.execute(case.seed).result[0]
    latent = nodes.EmptyLatentImage().generate(SIZE, SIZE, len(case.texts))[0]
    return _sample(models, noise, guider, euler(), sigmas, latent, calls_before=0)


def from_latent(models: Models, flows: Flows, guider, sampler, latent: dict, calls_before: int) -> Drawn:
    """Sample an inverted LATENT as it is."""
    noise = DisableNoise.execute().result[0]
    return _sample(models, noise, guider, sampler, flows.sigmas, latent, calls_before)


def _sample(models: Models, noise, guider, sampler, sigmas, latent: dict, calls_before: int) -> Drawn:
    with counted(models.model) as counts:
        latent = SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).result[0]
    pictures = nodes.VAEDecode().decode(models.vae, latent)[0]
    return Drawn(pictures.cpu().clamp(0, 1), calls_before + counts.guider_calls)


def invert(models: Models, case: Case, settings: Settings, swap_in: Tensor | None = None) -> Inverted:
    """Draw the scenes, swap the face in and invert. swap_in: a reference of another person for the swap alone."""
    flows = flows_of(models, case, settings)
    scene = from_noise(models, case, flows.stock, flows.sigmas)
    pictures = (
        node("CE_FaceSwap")
        .execute(
            scene.pictures,
            models.face_analysis,
            models.face_swapper,
            case.person.reference if swap_in is None else swap_in,
            target_order="large-small",
            reference_order="large-small",
            no_face="pass_through",
            paste="box",  # as in the committed results
        )
        .result[0]
    )
    encoded = nodes.VAEEncode().encode(models.vae, pictures)[0]
    with counted(models.model) as counts:
        residual_noise, latent = node("CE_ResInversion").execute(flows.pivot, flows.sigmas, encoded).result
    calls = scene.guider_calls + counts.guider_calls
    return Inverted(flows, scene, Drawn(pictures, scene.guider_calls), encoded, residual_noise, latent, calls)


def mixed(
    models: Models, inverted: Inverted, start_step: int, forward_scale: float = 1.0, backward_scale: float = 1.0
) -> Drawn:
    """Sample the three flows: scales of 1 are the method."""
    sampler = node("CE_BiMDSampler").execute(inverted.residual_noise, backward_scale).result[0]
    guider = joined(inverted.flows, start_step, forward_scale)
    return from_latent(models, inverted.flows, guider, sampler, inverted.latent, inverted.guider_calls)

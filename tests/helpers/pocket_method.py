"""The method on one case of the pocket world, in this process, through the nodes, with the flows mixed at will.

What the benchmark draws by the fleet is held against it. lab/ must be on sys.path.

A whole batch of prompts goes through every node at once: conditionings are stacked as latents are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from paper.methods import DDIM, DELAYED, FULL_PHOTOMAKER, NO_BACKWARD, NO_FORWARD, PHOTOMAKER, SCENE, SWAPPED
from paper.pocket_cases import TRIGGER, Case, Person
from paper.pocket_judges import Judges, Seen, background_distance, diversity, kind_probabilities, wears
from paper.pocket_models import load_judge, only_folder
from paper.usual import POCKET_SIDE as SIDE
from pocket.kept import CHECKPOINT
from pocket.kept import PHOTOMAKER as PHOTOMAKER_FILE
from pocket.world.scene import KINDS

SCHEDULER = "ddim_uniform"  # with euler: DDIM, as in the shipped workflows


@dataclass(frozen=True)
class Models:
    """What the nodes put out: MODEL, CLIP, VAE, CE_PHOTOMAKER, FACEANALYSIS of buffalo_l and CE_FACE_SWAPPER.

    judge: FACEANALYSIS of antelopev2, whose recogniser neither swapper nor identity encoder was trained with.
    """

    model: object
    clip: object
    vae: object
    photomaker: object
    face_analysis: object
    face_swapper: object
    judge: object


def load(models: Path) -> Models:
    """Load from a models folder that lacks nothing."""
    with only_folder(models):
        return Models(
            *nodes.CheckpointLoaderSimple().load_checkpoint(CHECKPOINT),
            *node("CE_PhotoMakerLoader").execute(PHOTOMAKER_FILE).result,
            *node("CE_FaceAnalysisLoader").execute("buffalo_l", "CPU").result,
            *node("CE_FaceSwapperLoader").execute("inswapper_128.onnx", "CPU").result,
            load_judge(models),
        )


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
    latent = nodes.EmptyLatentImage().generate(SIDE, SIDE, len(case.texts))[0]
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


def draw_method(models: Models, case: Case, settings: Settings, inverted: Inverted | None = None) -> dict[str, Drawn]:
    """The pictures of the rows of the method and its parts, by method. inverted: as `invert` gives it."""
    inverted = inverted or invert(models, case, settings)
    return {
        PHOTOMAKER: from_noise(models, case, inverted.flows.forward, inverted.flows.sigmas),
        SCENE: inverted.scene,
        SWAPPED: inverted.swapped,
        NO_FORWARD: mixed(models, inverted, settings.start_step, forward_scale=0.0),
        FULL_PHOTOMAKER: mixed(models, inverted, settings.start_step),
    }


def draw_rows(models: Models, case: Case, settings: Settings) -> dict[str, Drawn]:
    """The pictures of every method of PhotoMaker's, by its name."""
    start_step = settings.start_step
    inverted = invert(models, case, settings)
    flows = inverted.flows
    with counted(models.model) as counts:
        ddim_latent = node("CE_DDIMInversion").execute(flows.pivot, flows.sigmas, inverted.encoded).result[1]
    calls = inverted.scene.guider_calls + counts.guider_calls
    delayed = joined(flows, start_step)
    return draw_method(models, case, settings, inverted) | {
        DELAYED: from_noise(models, case, delayed, flows.sigmas),
        NO_BACKWARD: mixed(models, inverted, start_step, backward_scale=0.0),
        DDIM: from_latent(models, flows, delayed, euler(), ddim_latent, calls),
    }


def likeness(seen: Seen, person: Seen) -> Tensor:
    """The mean cosine with the pictures of a person in which a face is found, (B,); 0 where there is no face."""
    found = person.directions[person.directions.any(dim=1)]
    return (seen.directions @ found.T).mean(dim=1)


def views_of(judges: Judges, person: Person) -> Seen:
    """The pictures of a person that likeness is measured against."""
    return judges.look(person.views)


def measure_case(judges: Judges, seen: Seen, case: Case, views: Seen, scene: Seen) -> dict[str, float]:
    """The means over a case's pictures, in percent, by COLUMNS of pocket_columns.

    views: the person's. scene: the base pictures.
    """
    named = torch.tensor([list(KINDS).index(described.kind) for described, _ in case.described])
    probabilities = kind_probabilities(judges.classifier, seen.pictures)
    of_named = probabilities.gather(1, named[:, None])[:, 0]
    clothes = wears(seen, [pose for _, pose in case.described])
    values = {
        "similarity": likeness(seen, views),
        "no_face": torch.tensor([box is None for box in seen.boxes]).float(),
        "scene": (probabilities.argmax(dim=1) == named).float(),
        "fidelity": (of_named + clothes) / 2,
        "background": background_distance(seen.pictures, scene),
    }
    means = {name: 100 * value.mean().item() for name, value in values.items()}
    return means | {"diversity": 100 * diversity(judges.classifier, seen)}

"""The pocket world in the places of people, prompts, models and judges; host and pack must be loaded.

Each person's pictures have the noise of one batch, so that a batch can be drawn elsewhere and compared.
"""

from pathlib import Path

from PIL import Image
from torch import Tensor

from benchmarks.provenance import named
from paper.graphs import PICTURE_SIZE, PLACE_IN_BATCH
from paper.jobs import Place
from paper.metric import Metric
from paper.people import Person, input_records
from paper.pictures import digest, digest_of
from paper.places import Sample
from paper.pocket_cases import held_out_case, partner
from paper.pocket_judges import Judges
from paper.pocket_metrics import pocket_metrics
from paper.pocket_models import CLASSIFIER, load_judge, pocket_files
from paper.prompts import CLASS, Prompt
from paper.records import Record
from pocket.kept import CHECKPOINT, IDENTITY_NET, INSTANTID, WEIGHTS
from pocket.kept import PHOTOMAKER as PHOTOMAKER_FILE
from pocket.train_scenes import load_classifier
from pocket.world.caption import caption

USUAL = Sample(people=20, prompts=8, pictures=2)
# What the graphs have set: the models' names, and how the face is pasted.
COLUMNS = {
    "SDXL checkpoint.ckpt_name": CHECKPOINT,
    "PhotoMaker file.photomaker_name": PHOTOMAKER_FILE,
    "InstantID file.instantid_name": INSTANTID,
    "IdentityNet.control_net_name": IDENTITY_NET,
    "Swap the face in.paste": "box",
}
PROTOCOL = """\
- People, scenes and their combinations are held out of every training. Each person has prompts of its own, in the
  eight kinds of scene in turn; the same prompts, and the scene's own noise, go into every method. cfg is 5 and
  MSS a fifth of the steps, unless another is said above or varied.
- Face similarity: the mean cosine, × 100, of antelopev2's embedding with those of four other close-ups of the person,
  as the paper averages over a person's other pictures. Neither swapper nor PhotoMaker's encoder was trained with that
  recogniser. A picture in which no face is found counts as 0; the next column says how many do.
- Scene accuracy: the share of pictures in which the scene classifier sees the kind that the prompt names.
- Scene diversity: the paper's measure, the mean perceptual distance (× 100) between two pictures of a person, the head
  left out. In place of LPIPS: 1 − the cosine of the features in the scene classifier's four layers.
- Prompt fidelity, in place of CLIP-T: the mean of the classifier's probability of the kind of scene and of whether the
  colour below the face is nearest to that of the clothes which the prompt names.
- Background distance: the root mean square (× 100, of pictures 0 to 1) of the difference to the scene's picture,
  outside of the box of its head.
- Identity fusion: the person in the forward flow, another's face swapped in; similarity to both.
- Guider calls: of one picture, from its prompt on.
- Intervals: 95 %, bootstrapped over people, each with all its pictures. A claim holds where the interval of its
  difference within people is above 0, is reversed where it is below, and is undecided otherwise.
- "Without backward flow" and "DDIM inversion" are one algorithm by two ways, BiMD Sampler with a backward scale of 0
  and Euler from the pivot's end: how far they differ is rounding. "Identity from MSS on" is how PhotoMaker's own
  pipeline samples (start_merge_step)."""


def pocket_places(folder: Path, sample: Sample) -> tuple[list[Place], list[Record]]:
    """The held-out cases with their people's pictures in `folder`, and those as records of "Input image".

    A picture's noise is that of its place in the case's batch.
    """
    places, inputs = [], []
    pictures = sample.pictures or USUAL.pictures
    for number in range(sample.people or USUAL.people):
        case = held_out_case(number, sample.prompts or USUAL.prompts, pictures)
        identity, word = f"{number:03}", case.person.identity.word
        views = [_save(view, folder / identity / f"{place}.png") for place, view in enumerate(case.person.views, 1)]
        reference = _save(case.person.reference[0], folder / identity / "0.png")
        inputs += input_records(Person(identity, word, (reference, *views)))
        other = partner(case)
        swapped_in = [other.reference[0], *other.views]
        swapped_in = [_save(view, folder / identity / f"other-{place}.png") for place, view in enumerate(swapped_in)]
        for place, (scene, pose) in enumerate(case.described):
            prompt = Prompt(place // pictures + 1, scene.kind, caption(scene, pose, CLASS))
            facts = {"kind": scene.kind, "garment_colour": pose.garment_colour}
            columns = {f"{PICTURE_SIZE}.batch_size": place + 1, f"{PLACE_IN_BATCH}.batch_index": place}
            about = identity, prompt, word, case.seed, reference, tuple(views), facts, columns
            places.append(Place(*about, swapped_in=tuple(swapped_in)))
    return places, inputs


def _save(pixels: Tensor, file: Path) -> Path:
    """Write a picture, (H, W, 3), 0 .. 1 in whole steps of 8 bits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * pixels).round().byte().numpy()).save(file)
    return file


def pocket_measures(models: Path) -> tuple[list[Metric], dict[str, str], dict[str, str]]:
    """The judges as metrics, what is absent, nothing, and what a reader has to know. models: the models folder."""
    version = digest_of(digest(models / "insightface" / "models" / "antelopev2"), digest(CLASSIFIER))
    metrics = pocket_metrics(Judges(load_judge(models), load_classifier(WEIGHTS)), version)
    return metrics, {}, {"device of the metrics": "cpu", "models": named(pocket_files(models))}

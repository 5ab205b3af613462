"""The pocket world in the places of people, prompts, models and judges; host and pack must be loaded.

People, prompts and noise are those of the pocket benchmark with one seed of each prompt, so that both tell the same.
"""

from pathlib import Path

from PIL import Image
from torch import Tensor

from benchmarks.pocket_cases import held_out_case
from benchmarks.pocket_claims import CLAIMS
from benchmarks.pocket_judges import Judges
from benchmarks.pocket_models import load_judge
from benchmarks.pocket_rows import FULL, PERSONALISED
from benchmarks.pocket_rows import NO_BACKWARD as WITHOUT_BACKWARD
from benchmarks.pocket_rows import NO_FORWARD as WITHOUT_FORWARD
from benchmarks.pocket_rows import SCENE as BASE_SCENE
from benchmarks.pocket_rows import SWAPPED as AFTER_SWAP
from paper.claims import Claim
from paper.graphs import PLACE_IN_BATCH, SIZE
from paper.jobs import Place
from paper.methods import FULL_PHOTOMAKER, NO_BACKWARD, NO_FORWARD, PHOTOMAKER, SCENE, SWAPPED, title
from paper.metric import Metric
from paper.people import Person, input_records
from paper.pictures import digest, digest_of
from paper.places import Sample
from paper.pocket_metrics import pocket_metrics
from paper.prompts import CLASS, Prompt
from paper.records import Record
from pocket.kept import CHECKPOINT, IDENTITY_NET, INSTANTID, WEIGHTS
from pocket.kept import PHOTOMAKER as PHOTOMAKER_FILE
from pocket.train_scenes import load_classifier
from pocket.world.caption import caption

IDENTITIES, PROMPTS, STEPS = 20, 8, 20  # as many as the pocket benchmark's
CLASSIFIER = WEIGHTS / "scenes.safetensors"
# What the graphs have set: the models' names, and how the pocket benchmark pastes.
COLUMNS = {
    "SDXL checkpoint.ckpt_name": CHECKPOINT,
    "PhotoMaker file.photomaker_name": PHOTOMAKER_FILE,
    "InstantID file.instantid_name": INSTANTID,
    "IdentityNet.control_net_name": IDENTITY_NET,
    "Swap the face in.paste": "box",
}
PROTOCOL = """\
- People, scenes and their combinations are held out of every training. Each person has prompts of its own; the scene's
  own noise goes into every method.
- Measures are the pocket benchmark's, by its judges; lab/benchmarks/results/pocket.md tells of each.
- Pictures of 128 × 128 pixels, cfg 5; MSS is a fifth of the steps where it is not varied."""
ROWS = {  # of the pocket benchmark, by method
    PHOTOMAKER: PERSONALISED,
    SCENE: BASE_SCENE,
    SWAPPED: AFTER_SWAP,
    NO_BACKWARD: WITHOUT_BACKWARD,
    NO_FORWARD: WITHOUT_FORWARD,
    FULL_PHOTOMAKER: FULL,
}


def pocket_places(folder: Path, sample: Sample) -> tuple[list[Place], list[Record]]:
    """The held-out cases with their people's pictures in `folder`, and those as records of "Input image".

    A picture's noise is that of its place in the case's batch.
    """
    places, inputs = [], []
    for number in range(sample.people or IDENTITIES):
        case = held_out_case(number, sample.prompts or PROMPTS, seeds=1)
        identity, word = f"{number:03}", case.person.identity.word
        views = [_save(view, folder / identity / f"{place}.png") for place, view in enumerate(case.person.views, 1)]
        reference = _save(case.person.reference[0], folder / identity / "0.png")
        inputs += input_records(Person(identity, word, (reference, *views)))
        for place, (scene, pose) in enumerate(case.described):
            prompt = Prompt(place + 1, scene.kind, caption(scene, pose, CLASS))
            facts = {"kind": scene.kind, "garment_colour": pose.garment_colour}
            columns = {f"{SIZE}.batch_size": place + 1, f"{PLACE_IN_BATCH}.batch_index": place}
            places.append(Place(identity, prompt, word, case.seed, reference, tuple(views), facts, columns))
    return places, inputs


def _save(pixels: Tensor, file: Path) -> Path:
    """Write a picture, (H, W, 3), 0 .. 1 in whole steps of 8 bits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * pixels).round().byte().numpy()).save(file)
    return file


def judges_as_metrics(models: Path) -> list[Metric]:
    """The pocket benchmark's judges, from a models folder of the pocket world."""
    version = digest_of(digest(models / "insightface" / "models" / "antelopev2"), digest(CLASSIFIER))
    return pocket_metrics(Judges(load_judge(models), load_classifier(WEIGHTS)), version)


def pocket_claims() -> list[Claim]:
    """The paper's orderings that the pocket benchmark judges, of the methods that are here."""
    methods = {row: title(method) for method, row in ROWS.items()}
    return [
        (column, methods[higher], methods[lower], *said)
        for column, higher, lower, *said in CLAIMS
        if higher in methods and lower in methods
    ]

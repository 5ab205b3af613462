"""What is drawn: the people of a folder, each with the prompts of prompts.txt, all of them or a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paper.jobs import Place
from paper.mtcnn import Detector
from paper.people import choose_reference, input_records, read_people
from paper.prompts import read_prompts
from paper.protocol import noise_seed
from paper.records import Record


@dataclass(frozen=True)
class Sample:
    """So many people and prompts; None: all."""

    people: int | None = None
    prompts: int | None = None


def read_sample(text: str) -> Sample:
    """Read a command line argument such as 2x8. Raises ValueError."""
    people, _, prompts = text.partition("x")
    if not (people.isdecimal() and prompts.isdecimal() and int(people) and int(prompts)):
        raise ValueError(f"{text}: is not PEOPLExPROMPTS, as 2x8.")
    return Sample(int(people), int(prompts))


def spread(things: Sequence, count: int | None) -> list:
    """So many of a sequence, evenly spread; all, if there are no more or count is None."""
    count = min(count or len(things), len(things))
    return [things[number * len(things) // count] for number in range(count)]


def places_of(faces: Path, sample: Sample, detector: Detector, dataset: str = "") -> tuple[list[Place], list[Record]]:
    """A folder's people with the prompts, and each one's photographs as records of "Input image".

    The noise of a person and a prompt does not depend on the sample. Raises ValueError that names every person of whom
    no photograph shows the full face.
    """
    places, inputs, faults = [], [], []
    prompts = spread(read_prompts(), sample.prompts)
    for number, person in enumerate(read_people(faces)[: sample.people]):
        try:
            chosen = choose_reference(person, detector)
        except ValueError as error:
            faults.append(str(error))
            continue
        inputs += input_records(person)
        for prompt in prompts:
            seed = noise_seed(number, prompt.number)
            about = person.identity, prompt, person.word, seed, chosen.reference, chosen.others
            places.append(Place(*about, dataset=dataset))
    if faults:
        raise ValueError("\n".join(faults))
    return places, inputs

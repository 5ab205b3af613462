"""What is drawn: the people of a folder, each with the prompts of prompts.txt, all of them or a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path

from paper.jobs import Place
from paper.mtcnn import Detector
from paper.people import choose_reference, input_records, read_people
from paper.prompts import read_prompts
from paper.protocol import PER_PROMPT, noise_seed
from paper.records import Record


@dataclass(frozen=True)
class Sample:
    """So many people, prompts, and pictures of each prompt; None: as many as there are, or as is usual."""

    people: int | None = None
    prompts: int | None = None
    pictures: int | None = None

    def __str__(self) -> str:
        counts = {"people": self.people, "prompts of each": self.prompts, "pictures of a prompt": self.pictures}
        return ", ".join(f"{of}: {count or 'all'}" for of, count in counts.items())


def read_sample(text: str) -> Sample:
    """Read a command line argument such as 2x8 or 2x8x2. Raises ValueError."""
    numbers = text.split("x")
    if len(numbers) not in (2, 3) or not all(number.isdecimal() and int(number) for number in numbers):
        raise ValueError(f"{text}: is not PEOPLExPROMPTS, as 2x8, nor PEOPLExPROMPTSxPICTURES.")
    return Sample(*map(int, numbers))


def spread(things: Sequence, count: int | None) -> list:
    """So many of a sequence, evenly spread; all, if there are no more or count is None."""
    count = min(count or len(things), len(things))
    return [things[number * len(things) // count] for number in range(count)]


def first_of(places: Sequence[Place], sample: Sample) -> list[bool]:
    """Which of some places belong to the first people, their first prompts and the first pictures of those."""
    found = []
    for number, (_, of_person) in enumerate(groupby(places, lambda place: place.identity)):
        for prompt, (_, of_prompt) in enumerate(groupby(of_person, lambda place: place.prompt.number)):
            for picture, _ in enumerate(of_prompt):
                counts = zip((number, prompt, picture), (sample.people, sample.prompts, sample.pictures), strict=True)
                found.append(all(count is None or place < count for place, count in counts))
    return found


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
        for prompt, picture in product(prompts, range(sample.pictures or PER_PROMPT)):
            seed = noise_seed(number, prompt.number, picture)
            about = person.identity, prompt, person.word, seed, chosen.reference, chosen.others
            places.append(Place(*about, dataset=dataset))
    if faults:
        raise ValueError("\n".join(faults))
    return places, inputs

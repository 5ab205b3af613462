"""The people of the evaluation: a folder of photographs for each, one of them the reference.

python lab paper.people FOLDER
    checks a folder of folders: how many photographs each person has, which show the full face, which is the reference
python lab paper.people --celeba-hq IMAGES --mapping FILE --identities FILE OUT
    makes such a folder of CelebA-HQ's people with more than 20 pictures
"""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.tables import table
from paper import celeba
from paper.methods import INPUT
from paper.mtcnn import Detector, Face
from paper.pictures import open_picture, picture_files
from paper.protocol import IDENTITIES, MORE_THAN, SEED
from paper.records import Record
from paper.weights import MissingError

CERTAIN = 0.99  # MTCNN's probability of a face that may be the reference
FACING = 0.5  # the nose is at least this share as far from the nearer eye as from the other, from side to side
WORDS = ("woman", "man")


@dataclass(frozen=True)
class Person:
    """identity: the folder's name. word: "woman", "man", or "person" where nothing says. pictures: the photographs."""

    identity: str
    word: str
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Chosen:
    """full: the photographs that show the full face. reference: the one that the method gets. others: all the rest."""

    full: tuple[Path, ...]
    reference: Path
    others: tuple[Path, ...]


def read_people(folder: Path) -> list[Person]:
    """The people of a folder, by name. A person's own folder may hold class.txt with the class word.

    Raises ValueError for a folder without people, and for people with fewer than two pictures.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: is not a folder.")
    people = [_person(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    if not people:
        raise ValueError(f"{folder}: has no folders; each person's photographs go into one of its own.")
    return people


def _person(folder: Path) -> Person:
    pictures = tuple(picture_files(folder))
    if len(pictures) < 2:
        raise ValueError(f"{folder}: has {len(pictures)} pictures; one is the reference, so that it takes two.")
    said = folder / celeba.WORD_FILE
    word = said.read_text(encoding="utf-8").strip() if said.exists() else "person"
    if said.exists() and word not in WORDS:
        raise ValueError(f"{said}: says {word!r}, which is neither of {', '.join(WORDS)}.")
    return Person(folder.name, word, pictures)


def shows_full_face(face: Face | None, size: tuple[int, int]) -> bool:
    """Whether a face is certain, wholly in a picture of size (width, height), and turned to the camera."""
    if face is None or face.probability < CERTAIN:
        return False
    left, top, right, bottom = face.box
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        return False
    left_eye, right_eye, nose = face.points[:3, 0]
    aside = sorted((nose - left_eye, right_eye - nose))
    return aside[0] >= FACING * aside[1] > 0


def choose_reference(person: Person, detector: Detector, seed: int = SEED) -> Chosen:
    """The reference, at random among the photographs that show the full face, whoever else is in the folder.

    Raises ValueError where none does.
    """
    full = tuple(path for path in person.pictures if shows_full_face(detector.largest(path), open_picture(path).size))
    if not full:
        raise ValueError(f"{person.identity}: none of its {len(person.pictures)} pictures shows the full face.")
    reference = random.Random(f"{seed} {person.identity}").choice(full)
    return Chosen(full, reference, tuple(path for path in person.pictures if path != reference))


def input_records(person: Person) -> list[Record]:
    """Table IV's row "Input image": each photograph as a picture, against all others of the person."""
    records = []
    for number, path in enumerate(person.pictures, 1):
        others = tuple(other for other in person.pictures if other != path)
        records.append(Record(INPUT, person.identity, number, 0, path, others=others))
    return records


def check(folder: Path, seed: int) -> str:
    """A table of a folder's people. Raises ValueError that names every person of whom no photograph will do."""
    detector, lines, faults = Detector(metric="people"), [], []
    for person in tqdm(read_people(folder), "finding faces", leave=False):
        try:
            chosen = choose_reference(person, detector, seed)
        except ValueError as error:
            faults.append(str(error))
            continue
        counts = str(len(person.pictures)), f"{len(chosen.full)}"
        lines.append([person.identity, person.word, chosen.reference.name, *counts])
    if faults:
        raise ValueError("\n".join(faults))
    return table(["person", "class word", "reference", "pictures", "with the full face"], lines, words=3)


def gather(options: argparse.Namespace) -> str:
    """Make the folder of CelebA-HQ's people; says what was made."""
    mapping, identities = celeba.read_mapping(options.mapping), celeba.read_identities(options.identities)
    chosen = celeba.choose(mapping, identities, options.more_than, options.count)
    if not chosen:
        raise ValueError(f"nobody has more than {options.more_than} pictures: do the two lists belong together?")
    men = celeba.read_men(options.attributes) if options.attributes else {}
    words = celeba.class_words(chosen, mapping, men)
    celeba.gather(celeba.find_pictures(options.celeba_hq), chosen, options.folder, words, options.copy)
    return f"{options.folder}: {len(chosen)} people, {sum(map(len, chosen.values()))} pictures"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python lab paper.people", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of one folder for each person; with --celeba-hq, where to make it")
    parser.add_argument("--celeba-hq", type=Path, metavar="IMAGES", help="CelebA-HQ's pictures")
    parser.add_argument("--mapping", type=Path, help="CelebA-HQ-to-CelebA-mapping.txt")
    parser.add_argument("--identities", type=Path, help="identity_CelebA.txt")
    parser.add_argument("--attributes", type=Path, help="list_attr_celeba.txt: who is a woman and who a man")
    parser.add_argument("--more-than", type=int, default=MORE_THAN, help="pictures that each person has")
    parser.add_argument("--count", type=int, default=IDENTITIES, help="of people, at most")
    parser.add_argument("--copy", action="store_true", help="copy the pictures in place of links to them")
    parser.add_argument("--seed", type=int, default=SEED, help="of the choice of the reference")
    options = parser.parse_args(arguments)
    if options.celeba_hq and not (options.mapping and options.identities):
        parser.error("--celeba-hq needs --mapping and --identities: they say who is in which picture")
    try:
        print(gather(options) if options.celeba_hq else check(options.folder, options.seed))
    except (ValueError, OSError, MissingError) as error:
        sys.exit(f"paper.people: {error}")


if __name__ == "__main__":
    main()

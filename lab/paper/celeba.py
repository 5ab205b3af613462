"""Who is in which picture of CelebA-HQ, by CelebA's own lists, and a folder of photographs for each of them.

CelebA-HQ numbers its pictures anew. `CelebA-HQ-to-CelebA-mapping.txt` says which of CelebA's each was made of, and
`identity_CelebA.txt` who is in that; `list_attr_celeba.txt` says whether it is a man.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from paper.pictures import picture_files

WORD_FILE = "class.txt"  # in an identity's folder: "woman" or "man"


def read_mapping(file: Path) -> dict[int, str]:
    """By the number of a picture in CelebA-HQ, its file's name in CelebA. Raises ValueError for lines of other form."""
    mapping = {}
    for number, line in _lines(file):
        words = line.split()
        if number == 1 and words[:1] == ["idx"]:
            continue
        if len(words) != 3 or not words[0].isdecimal():
            raise ValueError(f"{file}, line {number}: is not a number, a number and a file's name.")
        mapping[int(words[0])] = words[2]
    return mapping


def read_identities(file: Path) -> dict[str, int]:
    """By a file's name in CelebA, the number of who is in it. Raises ValueError for lines of other form."""
    identities = {}
    for number, line in _lines(file):
        words = line.split()
        if len(words) != 2 or not words[1].isdecimal():
            raise ValueError(f"{file}, line {number}: is not a file's name and a number.")
        identities[words[0]] = int(words[1])
    return identities


def read_men(file: Path) -> dict[str, bool]:
    """By a file's name in CelebA, whether it shows a man. Raises ValueError where there is no column "Male"."""
    lines = [line.split() for _, line in _lines(file)]
    head = next((words for words in lines if "Male" in words), None)
    if head is None:
        raise ValueError(f"{file}: has no column 'Male'.")
    column = head.index("Male") + 1
    return {words[0]: words[column] == "1" for words in lines if len(words) == len(head) + 1}


def choose(
    mapping: Mapping[int, str], identities: Mapping[str, int], more_than: int, count: int
) -> dict[int, list[int]]:
    """The numbers of the pictures of each person with more than `more_than`, by the person's number.

    At most `count` people: those with the most pictures; of equals, those of the lower number.
    """
    of_person: dict[int, list[int]] = {}
    for number, name in sorted(mapping.items()):
        if name in identities:
            of_person.setdefault(identities[name], []).append(number)
    order = sorted(of_person.items(), key=lambda item: (-len(item[1]), item[0]))
    return {person: numbers for person, numbers in order[:count] if len(numbers) > more_than}


def find_pictures(folder: Path) -> dict[int, Path]:
    """CelebA-HQ's picture files by their numbers, with or without zeros before. Raises ValueError if there are none."""
    found = {int(path.stem): path for path in picture_files(folder, "**/*") if path.stem.isdecimal()}
    if not found:
        raise ValueError(f"{folder}: has no pictures whose names are numbers, such as 0.jpg or 00000.png.")
    return found


def gather(
    pictures: Mapping[int, Path], chosen: Mapping[int, list[int]], out: Path, words: Mapping[int, str], copy: bool
) -> None:
    """Make a folder for each chosen person in `out`, with links to the pictures, or copies, and the class word.

    words: "woman" or "man" by the person's number. Raises ValueError if a picture is not there.
    """
    lacking = [number for numbers in chosen.values() for number in numbers if number not in pictures]
    if lacking:
        raise ValueError(f"{len(lacking)} of the chosen pictures are not there, the first is number {lacking[0]}.")
    for person, numbers in chosen.items():
        folder = out / f"{person:05}"
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            target = folder / f"{number:05}{pictures[number].suffix.lower()}"
            target.unlink(missing_ok=True)
            if copy:
                shutil.copyfile(pictures[number], target)
            else:
                os.symlink(pictures[number].resolve(), target)
        if person in words:
            (folder / WORD_FILE).write_text(words[person] + "\n", encoding="utf-8")


def class_words(chosen: Mapping[int, list[int]], mapping: Mapping[int, str], men: Mapping[str, bool]) -> dict[int, str]:
    """ "man" or "woman" for each person, as most of the pictures say."""
    words = {}
    for person, numbers in chosen.items():
        said = [men[mapping[number]] for number in numbers if mapping[number] in men]
        if said:
            words[person] = "man" if 2 * sum(said) > len(said) else "woman"
    return words


def _lines(file: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    return [(number, line) for number, line in lines if line.strip()]

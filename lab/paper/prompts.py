"""The forty prompts of prompts.txt, and what becomes of them for a person of a class word."""

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("prompts.txt")
CLASS = "<class>"


@dataclass(frozen=True)
class Prompt:
    """number: from 1. kind: what it tells of. pattern: the text with CLASS in the place of the class word."""

    number: int
    kind: str
    pattern: str

    def text(self, word: str, trigger: str = "") -> str:
        """The prompt for a "woman" or a "man". trigger: PhotoMaker's, which stands right after that word, or none."""
        return self.pattern.replace(CLASS, f"{word} {trigger}" if trigger else word)


def read_prompts(file: Path = FILE) -> list[Prompt]:
    """Read prompts, one a line below the [kind] that they are of; lines that begin with # are comments.

    Raises ValueError, naming the line, for a prompt without a kind, and for one in which CLASS is not there once.
    """
    prompts, kind = [], ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            kind = line[1:-1]
        elif line and not line.startswith("#"):
            if not kind:
                raise ValueError(f"{file}, line {number}: comes before the first [kind].")
            if line.count(CLASS) != 1:
                raise ValueError(f"{file}, line {number}: needs {CLASS} exactly once.")
            prompts.append(Prompt(len(prompts) + 1, kind, line))
    if not prompts:
        raise ValueError(f"{file}: has no prompts.")
    return prompts

"""The parts of a Markdown page that can be checked: its links, pictures, commands and tables."""

import re
import shlex
from pathlib import Path
from urllib.parse import unquote

# In a block of one of these, every line is a command.
SHELL = ("sh", "bash")
PROGRAMS = "python3?|pip|git|comfy|curl|cd"  # what begins a command in an indented block


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^ *```(\w*)\n(.*?)^ *```$", read(page), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^ *```\w*\n.*?^ *```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


def table(page: Path, heading: str) -> list[list[str]]:
    """The cells of each row of the first table below a heading, its head left out."""
    section = read(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.search(r"(?:^\|.*\|\n)+", section, re.MULTILINE)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of the page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """The targets of all links and pictures that are not addresses on the web."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'\bsrc="([^"]+)"', text)
    return [target for target in found if not re.match(r"https?://|mailto:", target)]


def resolve(page: Path, target: str) -> Path:
    """The file or folder that a link on a page leads to."""
    path = unquote(target.partition("#")[0])
    return (page.parent / path).resolve() if path else page


def pictures(page: Path) -> list[str]:
    """The sources of the page's pictures, in their order."""
    return [unquote(max(pair)) for pair in re.findall(r'!\[[^\]]*\]\(([^)\s]+)\)|<img src="([^"]+)"', read(page))]


def commands(page: Path) -> list[str]:
    """Every line of a shell block, and what else of the page's code runs one of PROGRAMS or dev.py."""
    lines = [line for language, block in blocks(page) if language in SHELL for line in block.splitlines()]
    lines += re.findall(rf"^ {{4}}((?:[A-Z_]+=\S+ )*(?:{PROGRAMS}) .*)$", prose(page), re.MULTILINE)
    lines += re.findall(r"`([^`\n]*\bdev\.py [^`\n]*)`", prose(page))
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def words(command: str) -> list[str]:
    """A command line's words, without settings of the environment before it and comments behind."""
    found = shlex.split(command, comments=True)
    while found and re.match(r"[A-Z_]+=", found[0]):
        del found[0]
    return found

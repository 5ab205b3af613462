"""Files of results: whole or not there, whatever is killed when."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .host_api import Host, JobState
from .ledger import Output
from .template import title

PICTURES = "pictures"
TO_A_FOLDER = 1000  # jobs whose files share one
LONGEST_NAME = 60


class FilesGone(Exception):
    """A host has made the files of a job and has them no more."""


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it: under another name, to the disk, renamed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".part")
    with open(draft, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, file)
    if hasattr(os, "O_DIRECTORY"):  # where a folder can be written to the disk too
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def fetch_outputs(host: Host, state: JobState, graph: dict, number: int, folder: Path) -> list[Output]:
    """Bring what a job put out into `folder` and tell of it; in the place of an earlier attempt's files.

    What was saved is brought; where nothing was, the previews. number: of the job, which names its files. Raises
    FilesGone, and HostGone.
    """
    found = list(_files(state.outputs, graph))
    saved = [(node, file) for node, file in found if file.get("type") == "output"]
    outputs, names = [], set()
    for node, file in saved or found:
        content = host.fetch(file)
        if content is None:
            raise FilesGone(f"{host.name}: {file['filename']} is there no more")
        place = _free_name(number, node, file["filename"], names)
        write_whole(folder / place, content)
        outputs.append(Output(node, place, len(content), hashlib.sha256(content).hexdigest()))
    return outputs + [Output(node, text=text) for node, text in _texts(state.outputs, graph)]


def _free_name(number: int, node: str, filename: str, taken: set[str]) -> str:
    """Where a file goes: pictures/000000/000017 Final picture.png. taken: the job's names so far; the new one joins."""
    readable = re.sub(r"[^\w .()+-]", "_", node)[:LONGEST_NAME].strip(" .")
    suffix, count, name = Path(filename).suffix.lower(), 1, None
    while name is None or name in taken:
        more = f" {count}" if count > 1 else ""
        first = number // TO_A_FOLDER * TO_A_FOLDER
        name = f"{PICTURES}/{first:06d}/{number:06d} {readable}{more}{suffix}"
        count += 1
    taken.add(name)
    return name


def _files(outputs: dict, graph: dict) -> Iterator[tuple[str, dict]]:
    for node_id, item in _items(outputs):
        if isinstance(item, dict) and item.get("filename"):
            yield _named(graph, node_id), item


def _texts(outputs: dict, graph: dict) -> Iterator[tuple[str, str]]:
    for node_id, kinds in sorted(outputs.items()):
        texts = kinds.get("text", []) if isinstance(kinds, dict) else []
        yield from ((_named(graph, node_id), text) for text in texts if isinstance(text, str))


def _items(outputs: dict) -> Iterator[tuple[str, object]]:
    for node_id, kinds in sorted(outputs.items()):
        for items in kinds.values() if isinstance(kinds, dict) else ():
            yield from ((node_id, item) for item in items) if isinstance(items, list) else ()


def _named(graph: dict, node_id: str) -> str:
    return title(graph, node_id) if node_id in graph else node_id

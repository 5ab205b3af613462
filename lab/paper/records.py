"""A picture that is to be measured, with what belongs to it; lists of them are JSON lines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

LISTS = "references", "others", "swapped_in"  # the fields that hold several files


@dataclass(frozen=True)
class Record:
    """One picture of one method.

    method: a name of paper.methods. prompt, seed: the prompt's number and the noise's seed. picture: its file.
    text: the prompt without a trigger word. references: the photographs that the method got. others: those of the same
    person that it did not get, which likeness is measured against. scene: the base picture that the method started
    from. start_step, forward_scale: MSS and scale, where figures 10 and 11 vary them; None where they are the method's
    own. facts: by name, what the prompt tells of, for metrics that read no text. swapped_in: pictures of the person
    whose face the swap puts in, where that is another one.
    """

    method: str
    identity: str
    prompt: int
    seed: int
    picture: Path
    text: str = ""
    references: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    scene: Path | None = None
    start_step: int | None = None
    forward_scale: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    swapped_in: tuple[Path, ...] = ()


def write_records(records: Sequence[Record], file: Path) -> None:
    """Write a JSON line for each."""
    file.write_text("".join(json.dumps(asdict(record), default=str) + "\n" for record in records), encoding="utf-8")


def read_records(file: Path) -> list[Record]:
    """Read JSON lines; paths that are not absolute start from the file's folder.

    Raises ValueError that names the line, for what is no Record, and for pictures that are not there.
    """
    records = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{file}, line {number}"
        try:
            records.append(_record(json.loads(line), file.parent))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}: is no record of a picture: {error}") from error
        if absent := [path for path in _files(records[-1]) if not path.is_file()]:
            raise ValueError(f"{where}: {absent[0]} is not there.")
    if not records:
        raise ValueError(f"{file}: names no picture.")
    return records


def _record(said: dict, folder: Path) -> Record:
    """A Record of what a JSON line says. Raises TypeError for fields that there are not, or that are lacking."""
    if not isinstance(said, dict) or (unknown := said.keys() - {field.name for field in fields(Record)}):
        raise TypeError(f"unknown fields {sorted(unknown)}" if isinstance(said, dict) else "it is not an object")
    paths = {name: tuple(folder / path for path in said.get(name, ())) for name in LISTS}
    paths |= {name: folder / said[name] for name in ("picture", "scene") if said.get(name)}
    return Record(**{**said, **paths})


def _files(record: Record) -> list[Path]:
    """Every file that a record names."""
    listed = [path for name in LISTS for path in getattr(record, name)]
    return [record.picture, *listed, *([record.scene] if record.scene else [])]

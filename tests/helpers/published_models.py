"""Small models under the names and in the formats of the published files, as the workflows want them."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from demo import STAND_INS

from devtools.models import put


def published_models(standins: Path, folder: Path, stands_in: Mapping[str, str] = STAND_INS) -> Path:
    """Fill a models folder with those of another by their own names and by those of the files they stand for.

    stands_in: by the name of a published file, the file in its place.
    """
    for source in standins.rglob("*"):
        if not source.is_file():
            continue
        place = folder / source.relative_to(standins)
        put(source, place)
        for name in (name for name, standin in stands_in.items() if standin == source.name):
            if name.endswith(".bin"):
                torch.save(safetensors.torch.load_file(source), place.with_name(name))
            else:
                put(source, place.with_name(name))
    return folder

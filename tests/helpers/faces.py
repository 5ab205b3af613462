"""Face models in the host's folders."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import folder_paths
import pytest


@contextmanager
def insightface_folder(folder: Path) -> Iterator[None]:
    """`folder` is the only one that the host knows of for insightface's models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(folder_paths.folder_names_and_paths, "insightface", ([str(folder)], set()))
        yield

"""The published weights that the metrics take: what they are called, where from, under which licence, where on disk."""

from dataclasses import dataclass
from pathlib import Path

import torch

from paper.pictures import digest

HUGGING_FACE = "https://huggingface.co"
KEPT_OF_REPOSITORY = ("*.json", "*.txt", "model.safetensors", "pytorch_model.bin")


class MissingError(RuntimeError):
    """A metric lacks its weights, its package or its pictures; the text names it, what is missing and its source."""


@dataclass(frozen=True)
class Published:
    """Weights as they are published: one file, or the folder of a Hugging Face repository or of a face pack.

    metric: what needs them, for people. name: of the file or folder below --weights. source: a link. licence: in a few
    words. repository: its name on Hugging Face, if it is one. checksum: what the file's SHA-256 begins with.
    """

    metric: str
    name: str
    source: str
    licence: str
    repository: str = ""
    checksum: str = ""


ALEXNET = Published(
    "LPIPS (Scene Div.)",
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "BSD-3-Clause",
    checksum="7be5be79",
)
INCEPTION = Published(
    "FID",
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "Apache-2.0",
    checksum="6726825d",
)
FACENET = Published(
    "Face Sim.",
    "20180402-114759-vggface2.pt",
    "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    "MIT",
)
CLIP = Published(
    "CLIP-T, CLIP-I and CLIP-IQA",
    "clip-vit-base-patch32",
    f"{HUGGING_FACE}/openai/clip-vit-base-patch32",
    "MIT",
    repository="openai/clip-vit-base-patch32",
)
DINO = Published(
    "DINO", "dino-vits16", f"{HUGGING_FACE}/facebook/dino-vits16", "Apache-2.0", repository="facebook/dino-vits16"
)
ANTELOPE = Published(
    "ArcFace sim.",
    "insightface/models/antelopev2",
    "https://github.com/deepinsight/insightface/releases/download/v0.7/antelopev2.zip",
    "non-commercial research only",
)
ALL = (ALEXNET, INCEPTION, FACENET, CLIP, DINO, ANTELOPE)


@dataclass(frozen=True)
class Weights:
    """Where weights are looked for: in `folder`, then in the user's caches of torch and Hugging Face.

    download: fetch what is in neither, into `folder`.
    """

    folder: Path | None = None
    download: bool = False

    def find(self, published: Published) -> Path:
        """The file or folder. Raises MissingError where it is not there, ValueError for a file of another content."""
        found = next((path for path in self._places(published) if path.exists()), None) or _in_hub(published)
        if found is None and self.download:
            found = self._fetch(published)
        if found is None:
            places = " nor ".join(map(str, self._places(published))) or "a cache of Hugging Face (no --weights given)"
            raise MissingError(
                f"{published.metric}: {published.name} is not there: neither {places}. Source: {published.source} "
                f"(licence: {published.licence}). Put it into the folder that --weights names{_or_download(published)}."
            )
        if published.checksum and not digest(found).startswith(published.checksum):
            raise ValueError(f"{published.metric}: {found} is not the published file: its SHA-256 differs.")
        return found

    def _places(self, published: Published) -> list[Path]:
        """Where the weights may be, but for Hugging Face's own cache."""
        places = [] if self.folder is None else [self.folder / published.name]
        if published.name.endswith((".pt", ".pth")):  # facenet-pytorch keeps its files beside, not in, torch.hub's
            hub = Path(torch.hub.get_dir())
            places += [folder / "checkpoints" / published.name for folder in (hub, hub.parent)]
        return places

    def _fetch(self, published: Published) -> Path | None:
        """Download into `folder`. Returns None for a face pack: it is an archive, to be unpacked by hand."""
        if not (published.repository or published.name.endswith((".pt", ".pth"))):
            return None
        if self.folder is None:
            raise MissingError(f"{published.metric}: --download needs --weights, the folder to write to.")
        target = self.folder / published.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if published.repository:
            from huggingface_hub import snapshot_download

            snapshot_download(published.repository, local_dir=target, allow_patterns=list(KEPT_OF_REPOSITORY))
        else:
            torch.hub.download_url_to_file(published.source, str(target), published.checksum or None)
        return target


def _in_hub(published: Published) -> Path | None:
    """The folder of a repository in Hugging Face's cache, if it is there."""
    if not published.repository:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(published.repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _or_download(published: Published) -> str:
    return " and unpack it there" if published.name == ANTELOPE.name else ", or run again with --download"

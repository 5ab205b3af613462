"""Write a safetensors file tensor by tensor, as it is drawn: no file is ever whole in this process's own memory.

The drawing is done twice. The first time nothing is drawn: shapes and names alone are collected, and from them the
file's head is written (huggingface/safetensors: eight bytes of length, JSON, the tensors' bytes in the head's order).
The second time every tensor lands in the file, mapped into memory, where the drawing may still edit it in place.
"""

import json
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from standins.sdxl import Weights
from torch import Tensor

CHUNK = 1 << 22  # numbers that are drawn at a time, by one thread
ALIGNMENT = 8
SEEDS = 1_000_003  # the chunks of so many have seeds of their own; of a seed, PyTorch's generator heeds 32 bits


class Shapes(Weights):
    """Collects what a drawing would draw, as tensors on the device `meta`: `tensors`, by name."""

    def __init__(self):
        super().__init__(0)

    def draw(self, *shape: int, std: float = 1.0) -> Tensor:
        """A tensor of that shape."""
        return torch.empty(shape, dtype=torch.float16)

    def put(self, key: str, tensor: Tensor) -> Tensor:
        """Give a tensor its name. Raises ValueError for a name that is taken."""
        if key in self.tensors:
            raise ValueError(f"{key} is drawn twice")
        return super().put(key, tensor)


class FastWeights(Weights):
    """Draws with all processors. The same seed gives the same numbers, whatever their count."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self._seed, self._chunks = seed, 0
        self._threads = ThreadPoolExecutor(os.cpu_count())

    def draw(self, *shape: int, std: float = 1.0) -> Tensor:
        """Draw one tensor, float16: each chunk of it from a generator of its own."""
        tensor = torch.empty(shape, dtype=torch.float16)
        chunks = tensor.flatten().split(CHUNK) if tensor.numel() else ()
        numbers = range(self._chunks, self._chunks + len(chunks))
        self._chunks += len(chunks)

        def fill(chunk: Tensor, number: int) -> None:
            generator = torch.Generator().manual_seed((self._seed * SEEDS + number) % 2**32)
            chunk.copy_(torch.randn(chunk.shape, generator=generator).mul_(std))

        list(self._threads.map(fill, chunks, numbers))
        return tensor


class MappedWeights(FastWeights):
    """Draws straight into a file: `places` has the part of it that each name's tensor takes."""

    def __init__(self, seed: int, places: dict[str, Tensor]):
        super().__init__(seed)
        self._places = places

    def put(self, key: str, tensor: Tensor) -> Tensor:
        """Write a tensor to its place in the file, and return that place."""
        self.tensors[key] = self._places[key].copy_(tensor)
        return self.tensors[key]


def shapes(draw: Callable[[Weights], None]) -> dict[str, torch.Size]:
    """The names and shapes of what a drawing draws; nothing is drawn."""
    weights = Shapes()
    with torch.device("meta"):  # for what a drawing edits its tensors with
        draw(weights)
    return {key: tensor.shape for key, tensor in weights.tensors.items()}


def write_safetensors(path: Path, draw: Callable[[Weights], None], seed: int, metadata: dict[str, str]) -> None:
    """Write what `draw` draws to `path`, float16. It is called twice, and must draw the same names in the same order.

    The file appears under its name when it is whole.
    """
    ends, head = 0, {"__metadata__": metadata}
    layout = shapes(draw)
    for key, shape in layout.items():
        start, ends = ends, ends + 2 * shape.numel()
        head[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, ends]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    unfinished = path.with_name(path.name + ".unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(unfinished, "w+b") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        before = file.tell()
        file.truncate(before + ends)
        with mmap.mmap(file.fileno(), before + ends) as mapped:
            weights = MappedWeights(seed, _places(mapped, before, layout))
            draw(weights)
            del weights  # a mapping cannot be closed while tensors lie in it
    unfinished.replace(path)


def _places(mapped: mmap.mmap, start: int, layout: dict[str, torch.Size]) -> dict[str, Tensor]:
    places = {}
    for key, shape in layout.items():
        flat = torch.frombuffer(mapped, dtype=torch.float16, count=shape.numel(), offset=start)
        places[key] = flat.view(shape)
        start += 2 * shape.numel()
    return places

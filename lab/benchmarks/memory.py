"""The most memory that tensors take at a time: the allocator's count on CUDA, elsewhere counted at every operation."""

import weakref
from collections.abc import Callable

import torch
from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Counts, while it is entered, the bytes of all tensors that operations make, for as long as something holds them.

    peak: the most at a time. What was there before does not count, nor what an operation takes for itself.
    """

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operation, and count those of its results that are no view of what it was given."""
        kwargs = kwargs or {}
        given = {storage.data_ptr() for storage in _storages((args, kwargs))}
        results = func(*args, **kwargs)
        for storage in _storages(results):
            if storage.data_ptr() not in given:
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes()).atexit = False
        return results

    def _add(self, size: int) -> None:
        self.live += size
        self.peak = max(self.peak, self.live)


def _storages(values) -> set[UntypedStorage]:
    leaves = tree_leaves(values)
    own = {value for value in leaves if isinstance(value, UntypedStorage)}  # Tensor.set_ is given one
    return own | {value.untyped_storage() for value in leaves if isinstance(value, Tensor)}


def with_peak_memory(run: Callable[[], object]) -> tuple[object, float]:
    """What run() gives, and the MiB that tensors take at most meanwhile; on CUDA with those that were there before."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return run(), torch.cuda.max_memory_allocated() / 2**20
    with LiveTensors() as tensors:
        return run(), tensors.peak / 2**20

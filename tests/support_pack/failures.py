"""A failure on demand: at a model call of a node memory runs out, or the run is interrupted. And the memory in use."""

import contextlib
import ctypes
import functools
import gc
import os
import sys

import comfy.model_base
import comfy.model_management
import psutil
import torch
from comfy_execution.utils import get_executing_context

KINDS = ("memory", "interrupt")
_armed = {}


def arm(node: str, call: int, kind: str) -> None:
    """Let the model call number `call`, from 1, of a node fail, once. kind: one of KINDS."""
    if kind not in KINDS or call < 1:
        raise ValueError(f"kind is one of {KINDS} and call 1 or more, not {kind!r} and {call}")
    _armed.update(node=node, left=call, kind=kind)


def disarm() -> None:
    """Let nothing fail that has not failed yet."""
    _armed.clear()


def _fail_if_due() -> None:
    context = get_executing_context()
    if not _armed or context is None or context.node_id != _armed["node"]:
        return
    _armed["left"] -= 1
    if _armed["left"]:
        return
    kind = _armed["kind"]
    _armed.clear()
    if kind == "memory":
        raise comfy.model_management.OOM_EXCEPTION("out of memory, as a test asked for")
    comfy.model_management.interrupt_current_processing()


def install() -> None:
    """Wrap the host's model call. The results pass through untouched."""
    apply_model = comfy.model_base.BaseModel.apply_model

    @functools.wraps(apply_model)
    def failing_apply_model(self, *args, **kwargs):
        _fail_if_due()
        return apply_model(self, *args, **kwargs)

    comfy.model_base.BaseModel.apply_model = failing_apply_model


def live_tensors() -> tuple[int, int]:
    """How many tensors Python can reach, after a collection, and how many bytes they hold together."""
    gc.collect()
    storages, count = {}, 0
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):  # isinstance would ask objects that warn when they are looked at
            try:
                storage = thing.untyped_storage()
            except NotImplementedError:  # sparse, or another thread is about to make it
                continue
            count += 1
            storages[storage.data_ptr()] = storage.nbytes()
    return count, sum(storages.values())


def heap() -> int:
    """Bytes that this process has allocated: what the C library has freed is handed back first, where it can be.

    Resident memory would also count pages of mapped files, which come and go with the machine's load.
    """
    if sys.platform != "linux":
        return psutil.Process(os.getpid()).memory_info().rss
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) * 1024


def memory() -> dict:
    """{"heap" in bytes, "tensors", "tensor_bytes", "models"}: of this process, after a collection."""
    count, size = live_tensors()
    models = len(comfy.model_management.current_loaded_models)
    return {"heap": heap(), "tensors": count, "tensor_bytes": size, "models": models}

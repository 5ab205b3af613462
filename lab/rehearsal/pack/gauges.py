"""What each executing node takes: memory, and weights that a LoRA was applied to."""

import functools
import threading
import time
from collections import defaultdict

import comfy.lora
import comfy.model_management
import execution
import psutil
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.weight_adapter.lora import LoRAAdapter
from support_pack.failures import live_tensors

PAUSE = 0.02  # seconds between two looks at the memory
UNET = "diffusion_model."

_process = psutil.Process()


def _device_module():
    """torch's module for the accelerator, if the host uses one that counts its memory."""
    module = getattr(torch, comfy.model_management.get_torch_device().type, None)
    return module if hasattr(module, "max_memory_allocated") else None


class Gauges:
    """What each node takes, by prompt and node; memory is in bytes, at most at a time.

    processor: seconds of processor time, of all threads. process: resident memory of its own; resident: with files that
    are mapped into it, whose pages the system can take back. device: of the accelerator in use, by anyone;
    device_tensors: what PyTorch's allocator gave out there. weights: of the UNet, that patches were worked into.
    attention: layers of the UNet over text that one call found replaced.
    """

    def __init__(self):
        self.nodes = defaultdict(dict)
        self._now, self._device = None, _device_module()
        threading.Thread(target=self._look, daemon=True, name="memory gauge").start()

    def enter(self, prompt_id: str, node_id: str) -> None:
        """A node starts."""
        zeros = dict.fromkeys(
            ("processor", "process", "resident", "device", "device_tensors", "weights", "attention"), 0
        )
        node = self.nodes[prompt_id].setdefault(node_id, zeros)
        node["processor"] -= _processor_seconds()
        if self._device:
            self._device.reset_peak_memory_stats()
        self._now = node
        self._read(node)

    def leave(self) -> None:
        """It ends."""
        node, self._now = self._now, None
        self._read(node)
        node["processor"] += _processor_seconds()
        if self._device:
            node["device_tensors"] = max(node["device_tensors"], self._device.max_memory_allocated())

    def add_weight(self) -> None:
        """Patches were worked into one weight."""
        if node := self._now:
            node["weights"] += 1

    def see_replaced(self, layers: int) -> None:
        """A call of the UNet found the attention of so many layers replaced."""
        if node := self._now:
            node["attention"] = max(node["attention"], layers)

    def _look(self) -> None:
        while True:
            if node := self._now:
                self._read(node)
            time.sleep(PAUSE)

    def _read(self, node: dict) -> None:
        for key, value in _memory().items():
            node[key] = max(node[key], value)
        if self._device:
            node["device"] = max(node["device"], device_in_use(self._device))


def _memory() -> dict[str, int]:
    info = _process.memory_info()
    return {"process": info.rss - getattr(info, "shared", 0), "resident": info.rss}


def _processor_seconds() -> float:
    times = _process.cpu_times()
    return times.user + times.system


def device_in_use(module) -> int:
    """Bytes of the accelerator that are not free."""
    free, total = module.mem_get_info()
    return total - free


def held() -> dict[str, int]:
    """What is held now, in bytes, as in Gauges; tensors: all that Python can reach."""
    module = _device_module()
    return {
        **_memory(),
        "tensors": live_tensors()[1],
        "device": device_in_use(module) if module else 0,
        "device_tensors": module.memory_allocated() if module else 0,
    }


def install() -> Gauges:
    """Wrap the host's execution of a node, its working of patches into a weight, and its UNet; what they give stays."""
    gauges = Gauges()
    execute, calculate_weight, forward = execution.execute, comfy.lora.calculate_weight, UNetModel._forward

    @functools.wraps(execute)
    async def gauged_execute(server, dynprompt, caches, current_item, extra_data, executed, prompt_id, *rest):
        gauges.enter(prompt_id, current_item)
        try:
            return await execute(server, dynprompt, caches, current_item, extra_data, executed, prompt_id, *rest)
        finally:
            gauges.leave()

    @functools.wraps(calculate_weight)
    def counted_calculate_weight(patches, weight, key, *args, **kwargs):
        # The pack hands results that it has kept to the host as patches, too: only a LoRA's arithmetic counts.
        if key.startswith(UNET) and any(isinstance(patch[1], LoRAAdapter) for patch in patches):
            gauges.add_weight()
        return calculate_weight(patches, weight, key, *args, **kwargs)

    @functools.wraps(forward)
    def watched_forward(self, x, timesteps=None, context=None, y=None, control=None, transformer_options=None, **more):
        options = transformer_options or {}
        gauges.see_replaced(len(options.get("patches_replace", {}).get("attn2", {})))
        return forward(self, x, timesteps, context, y, control, options, **more)

    UNetModel._forward = watched_forward
    execution.execute = gauged_execute
    comfy.lora.calculate_weight = counted_calculate_weight
    return gauges

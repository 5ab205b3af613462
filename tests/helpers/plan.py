"""What a prompt is going to take, told before it starts."""

import os
import sys
from pathlib import Path

from .host_client import Host, find, find_title

sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))

from host_server import load_package

load_package("fleet")

from fleet import cost  # noqa: E402


def guider_calls(prompt: dict) -> int:
    """The guider calls of a prompt, as the fleet counts them."""
    return sum(cost.guider_calls(prompt, node_id) for node_id in prompt)


def size_on_disk(prompt: dict, models: Path) -> int:
    """The bytes of those files and face packs below the folder `models` that a prompt names."""
    named = {value for node in prompt.values() for value in node["inputs"].values() if isinstance(value, str)}
    found = [Path(folder, file) for folder, _, files in os.walk(models, followlinks=True) for file in files]
    return sum(path.stat().st_size for path in found if path.name in named or path.parent.name in named)


def plan(host: Host, prompt: dict, models: Path | None) -> str:
    """What a prompt is going to take, in words. models: the folder of real models, if it runs on them."""
    picture = prompt[find_title(prompt, "Picture size")]["inputs"]
    steps = prompt[find(prompt, "BasicScheduler")]["inputs"]["steps"]
    device = host.get_json("/system_stats")["devices"][0]
    free, total = (device[name] / 2**30 for name in ("vram_free", "vram_total"))
    text = (
        f"{picture['width']} x {picture['height']} pixels, {steps} steps, {guider_calls(prompt)} guider calls "
        f"with all comparisons, on {device['name']} ({free:.1f} of {total:.1f} GiB of memory free)"
    )
    if models:
        text += f"\nmodel files: {size_on_disk(prompt, models) / 2**30:.1f} GiB on disk"
        if device["type"] == "cpu":
            text += "; on the CPU ComfyUI computes in fp32, in which files of fp16 take twice that in memory"
    return text

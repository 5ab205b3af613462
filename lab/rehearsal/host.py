"""The host of a rehearsal: unmodified, on the accelerator that it finds, or on the CPU with little memory."""

import importlib.util
import urllib.request
from pathlib import Path

from helpers.host_client import Host
from helpers.prompts import node

from devtools.server import Server
from pocket.loading import CHECKOUT

PACKS = {"ComfyUI-CustomEnhancer": CHECKOUT, "customenhancer_rehearsal": Path(__file__).parent / "pack"}


class RealSizeServer(Server):
    """A ComfyUI for models of real size.

    cpu: whether it must not use an accelerator. precision: fp16, bf16 or fp32, in which the UNet's weights are kept; a
    CPU computes in fp32 whatever they are kept in. packs: further custom nodes, by folder name.
    """

    def __init__(self, base: Path, comfyui: Path, models: Path, cpu: bool, precision: str, log: Path, packs=()):
        super().__init__(base, comfyui, models, {**PACKS, **dict(packs)}, log=log)
        self.command = [part for part in self.command if part != "--cpu"]
        self.command += [f"--{precision}-unet", "--verbose", "DEBUG", *(["--cpu"] if cpu else [])]
        if importlib.util.find_spec("comfyui_frontend_package") is None:  # no browser comes by
            (base / "no_frontend").mkdir(parents=True, exist_ok=True)
            self.command += ["--front-end-root", base / "no_frontend"]


def free(host: Host) -> dict[str, int]:
    """Have the host unload its models and forget its results. Returns what it holds then, in bytes."""
    body = b'{"unload_models": true, "free_memory": true}'
    request = urllib.request.Request(f"{host.url}/free", body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60):
        pass
    # The host does it between prompts, in its own time. When it runs a second one, it has come by there.
    for _ in range(2):
        host.run({"idle": node("RehearsalPatched")})
    return host.get_json("/customenhancer_rehearsal/held")

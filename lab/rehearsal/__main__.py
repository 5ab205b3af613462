"""Rehearse the pack at real size, with random weights: python lab rehearsal, python lab rehearsal --bundle DIR.

Writes SDXL, PhotoMaker V1 and V2, InstantID, IdentityNet and a kohya LoRA at their real sizes (11 GB, once), runs the
flows in an unmodified host, and prints one table. COMFYUI_PATH names the host.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import torch
from helpers.host_client import Host, PromptError
from websocket import WebSocketException

from benchmarks.machine import commit, processor
from devtools.cache import cache
from devtools.processes import SetupError, say
from pocket.loading import CHECKOUT
from rehearsal.flows import Rehearsal
from rehearsal.graphs import FLOWS, Extent
from rehearsal.host import RealSizeServer
from rehearsal.models import ensure_models
from rehearsal.report import GIB, markdown

RESULTS = Path(__file__).resolve().parent / "results"
LOG = CHECKOUT / "output" / "rehearsal" / "comfyui.log"
BOUND = 1e-3  # above it a reconstruction is not exact


def rehearse(server: RealSizeServer, extent: Extent, flows: Sequence[str] = tuple(FLOWS)) -> Iterator[dict]:
    """Run the precisions and the flows in a server that is not yet entered.

    After each of them come the results so far, ready for JSON: a host that dies of one leaves those before it.
    """
    began, found = time.perf_counter(), {}
    with server:
        host = Host(server.url)
        rehearsal = Rehearsal(host, server.log, extent)
        runs = {"precisions": rehearsal.precisions, **{name: partial(rehearsal.flow, name) for name in flows}}
        for name, run in runs.items():
            found[name] = run()
            about = _about(server, host, extent, time.perf_counter() - began)
            yield {"about": about | {"faces": rehearsal.faces}, "flows": dict(found)}


def _about(server: RealSizeServer, host: Host, extent: Extent, seconds: float) -> dict[str, str]:
    stats = host.get_json("/system_stats")
    device, system = stats["devices"][0], stats["system"]
    return {
        "machine": f"{device['name']}; {processor()}, {os.cpu_count()} cores, {system['ram_total'] / GIB:.0f} GiB",
        "system": platform.platform(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "torch": system["pytorch_version"],
        "ComfyUI": system["comfyui_version"],
        "CustomEnhancer": commit(),
        "pictures": f"{extent.side} pixels, {extent.steps} steps, starting step {extent.start_step}, cfg 5",
        "picture of the precisions": f"{extent.precision_side or extent.side} pixels",
        "host's flags": " ".join(
            str(part) for part in server.command if str(part).endswith("-unet") or part == "--cpu"
        ),
        "seconds, all": f"{seconds:.0f}, the host's start included",
        "memory of this client": f"{psutil.Process().memory_info().rss / GIB:.1f} GiB",
    }


def inexact(results: dict) -> list[str]:
    """What is wrong with the results, in sentences: a reconstruction past BOUND, a latent that is not finite."""
    faults = []
    for name, flow in results["flows"].items():
        errors = {"": flow.get("error", 0.0)} | {
            f", computing in {each}": error for each, error in flow.get("errors", {}).items()
        }
        faults += [
            f"{name}{where}: reconstruction off by {error:.2g}" for where, error in errors.items() if not error <= BOUND
        ]
        if not flow.get("latent", {"finite": True})["finite"]:
            faults.append(f"{name}: the result is not finite")
    return faults


def main() -> int:
    """Run the command line; return the exit status."""
    accelerator = torch.accelerator.is_available()
    parser = argparse.ArgumentParser(
        prog="rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="use no accelerator")
    parser.add_argument("--size", type=int, help="of the pictures, in pixels; 1024, on a CPU 128")
    parser.add_argument("--steps", type=int, help="of the schedule; 50, on a CPU 2")
    parser.add_argument("--precision", choices=("fp16", "bf16", "fp32"), default="fp16", help="of the UNet's weights")
    parser.add_argument("--models", type=Path, default=cache() / "rehearsal-models", help="where to keep the files")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the table")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="make a folder for a machine without network")
    parser.add_argument("--python-version", default="3.12", help="of that machine")
    parser.add_argument("--there", nargs="*", default=(), metavar="PACKAGE", help="what else that machine has")
    options = parser.parse_args()
    comfyui = Path(os.environ["COMFYUI_PATH"])
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # or the server stays behind
    if options.bundle:
        from rehearsal.bundle import make_bundle

        make_bundle(options.bundle.resolve(), comfyui, options.python_version, options.there)
        return 0
    cpu = options.cpu or not accelerator
    side = options.size or (128 if cpu else 1024)
    # A CPU takes up to thirty times as long for a convolution in fp16 as in fp32, by the number of pixels.
    extent = Extent(side, options.steps or (2 if cpu else 50), side // 2 if cpu else None)
    began = time.perf_counter()
    models = ensure_models(options.models, options.seed)
    say(f"Models: {models}, after {time.perf_counter() - began:.0f} s")
    for folder in (options.output, LOG.parent):
        folder.mkdir(parents=True, exist_ok=True)
    say(f"The host's log: {LOG}")
    name = f"{'cpu' if cpu else 'accelerator'}-{options.precision}-{extent.side}px-{extent.steps}-steps"
    with tempfile.TemporaryDirectory(prefix="customenhancer-") as base:
        for results in rehearse(RealSizeServer(Path(base), comfyui, models, cpu, options.precision, LOG), extent):
            (options.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            (options.output / f"{name}.md").write_text(markdown(results), encoding="utf-8")
    say(markdown(results))
    faults = inexact(results)
    say("\n".join(faults) or f"Every reconstruction within {BOUND:g}, every result finite.")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SetupError, PromptError) as error:
        sys.exit(str(error))
    except (ConnectionError, WebSocketException) as error:
        sys.exit(f"The host is gone ({error}). Its log's last lines may say why: {LOG}; often memory ended.")

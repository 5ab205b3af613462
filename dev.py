#!/usr/bin/env python3
"""Try, test and serve CustomEnhancer with nothing but Python 3.10 or newer.

    python3 dev.py demo      run the pipeline in a real ComfyUI, pictures to output/demo/ (demo --help lists the flows)
    python3 dev.py test      run every check; what follows is for pytest, as in `test -k bimd -x`
    python3 dev.py serve     start ComfyUI with this pack and look around
    python3 dev.py bench inversion
                             measure inversions; tables and plots go to lab/benchmarks/results/
    python3 dev.py bench paper
                             the paper's tables on the pocket world, to lab/benchmarks/results/; a part of them
                             (--sample 2x2) to output/paper/
    python3 dev.py bench paper --models DIR --faces DIR --weights DIR
                             the same on real ones, on a host of its own, on others (--hosts), on a cluster (--ray);
                             to output/paper/
    python3 dev.py rehearse  run the flows at SDXL's real size on random weights (11 GB): one table; rehearse --help
    python3 dev.py fuzz      feed every node what it was not made for (--prompts 2000 --seed 3); see lab/fuzz/
    python3 dev.py reliability
                             soak, interrupt and repeat; writes docs/reliability.md
    python3 dev.py fleet run jobs.yaml --output DIR
                             make many pictures, on a host of its own, on others (--hosts), on a cluster (--ray)
    python3 dev.py cards     draw the workflows' cards, the icon and the banner anew, on the pocket world

Each sets up first: an environment as requirements-dev.lock pins it, an unmodified ComfyUI, and tiny models, all in one
cache folder outside the checkout, which may be deleted at any time.

    --models DIR             use this models folder, with the real files in it. demo, serve and test then use the
                             accelerator that PyTorch finds (CUDA, ROCm, MPS, XPU); --cpu forbids it
    --size N, --steps N      demo, and test with --models: the side of the pictures in pixels, and the steps
    COMFYUI_PATH=DIR         use this ComfyUI, 0.28.0 or newer
    CUSTOMENHANCER_CACHE=DIR use this cache folder
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036  this file is what people run with whatever Python they have
    sys.exit("CustomEnhancer needs Python 3.10 or newer; this is " + sys.version.split()[0])

import argparse
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from devtools.cache import cache, digest, exclusive
from devtools.checkers import checkers
from devtools.comfyui import host
from devtools.environment import environment
from devtools.frontend import newest_frontend
from devtools.models import LAB, SUPPORT_PACK, pocket_world, standins
from devtools.own_hosts import own_hosts
from devtools.processes import CHECKOUT, SetupError, run, say
from devtools.server import Server, accelerator

PACKS = {"ComfyUI-CustomEnhancer": CHECKOUT, "customenhancer_test_support": SUPPORT_PACK}
FLOWS = ("photomaker-v2", "photomaker-v1", "instantid", "lora")  # of the demo
POCKET_FLOWS = ("photomaker-v2", "instantid")  # those for which the pocket world has models
BENCHMARKS = ("inversion", "paper")
FLEET = CHECKOUT / "fleet"
PROOFS = ("fuzz", "reliability")  # packages of lab/ that run hosts of their own
SIDE_BY_SIDE = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")  # `test -n 0` runs in one process


def set_up(models: Path | None, make: Callable[[Path, Path], Path] = standins) -> dict:
    """Make what a server needs, and return it as Server's arguments. `models`: a folder in place of `make`'s."""
    python = environment()
    comfyui = host(python)
    return {"python": python, "comfyui": comfyui, "models": models or make(python, comfyui), "packs": PACKS}


def stays_on_cpu(models: Path | None, forbidden: bool, python: Path) -> bool:
    """Whether to keep ComfyUI on the CPU, and say which it is where there is a choice: only real models leave it."""
    if models is None:
        return True
    cpu = forbidden or not accelerator(python)
    reason = "--cpu" if forbidden else "PyTorch finds no accelerator"
    say(f"Real models on the CPU ({reason}): slow, in fp32." if cpu else "Real models on the accelerator.")
    return cpu


def demo(models: Path | None, cpu: bool, flow: str, output: Path, size: int | None, steps: int | None) -> int:
    """Run the pipeline in a server of its own. tests/demo.py is the client. flow: one of FLOWS. cpu: no accelerator.

    size, steps: of the pictures in pixels, and of the schedule; None leaves those that suit the models.
    """
    pocket = models is None and flow in POCKET_FLOWS
    parts = set_up(models, pocket_world if pocket else standins)
    output = output / flow
    output.mkdir(parents=True, exist_ok=True)
    client = [parts["python"], CHECKOUT / "tests" / "demo.py", "--output", output, "--flow", flow]
    client += ["--models", models] if models else ["--pocket"] if pocket else []
    client += ["--size", size] if size else []
    client += ["--steps", steps] if steps else []
    cpu = stays_on_cpu(models, cpu, parts["python"])
    temporary = tempfile.TemporaryDirectory(prefix="customenhancer-", ignore_cleanup_errors=True)
    with temporary as base, Server(Path(base), log=output / "comfyui.log", cpu=cpu, **parts) as server:
        if status := run(*client, "--server", server.url):
            server.check(patience=2)
        return status


def test(models: Path | None, cpu: bool, size: int | None, steps: int | None, more: Sequence[str]) -> int:
    """Run ruff and, if it finds nothing, pytest in three processes, with the arguments `more`.

    models, cpu, size, steps: for the test of real weights, as in `demo`.
    """
    parts = set_up(None)
    if status := run(parts["python"], "-m", "ruff", "check", "."):
        return status
    places = {"COMFYUI_PATH": str(parts["comfyui"]), "CUSTOMENHANCER_CACHE": str(cache())}
    places |= {"CUSTOMENHANCER_FRONTEND": str(newest_frontend())}
    if found := checkers():
        places |= {"CUSTOMENHANCER_CHECKERS": str(found)}
    if models:
        cpu = stays_on_cpu(models, cpu, parts["python"])
        chosen = {"MODELS": models, "DEVICE": "cpu" if cpu else "accelerator", "SIZE": size, "STEPS": steps}
        places |= {f"CUSTOMENHANCER_{name}": str(value) for name, value in chosen.items() if value}
    command = [parts["python"], "-m", "pytest", "-c", "tests/pytest.ini", "tests", *SIDE_BY_SIDE]
    return run(*command, *more, **places)


def bench(models: Path | None, name: str, more: Sequence[str]) -> int:
    """Run the benchmark `name`, one of BENCHMARKS, with the arguments `more`."""
    return (bench_paper if name == "paper" else bench_inversion)(models, more)


def bench_inversion(models: Path | None, more: Sequence[str]) -> int:
    """Run lab/benchmarks/inversion.py; without a models folder on the stand-ins and the pocket world's model."""
    parts = set_up(models)
    command = [parts["python"], LAB, "benchmarks.inversion", "--models", parts["models"]]
    command += [] if models else ["--pocket"]
    return run(*command, *more, COMFYUI_PATH=str(parts["comfyui"]))


def bench_paper(models: Path | None, more: Sequence[str]) -> int:
    """Run lab/paper/bench.py with the arguments `more`; without models and faces on the pocket world."""
    python = environment()
    comfyui = host(python)
    command = [python, LAB, "paper.bench", *more]
    if models is None and not is_said("--faces", more):
        models = pocket_world(python, comfyui)
        command += [] if is_said("--pocket", more) else ["--pocket"]
        command += ["--cpu"]
    elif models and not is_said("--hosts", more) and stays_on_cpu(models, is_said("--cpu", more), python):
        command += ["--cpu"]
    command += ["--models", models] if models else []
    return run(*command, folder=Path.cwd(), COMFYUI_PATH=str(comfyui))


def is_said(option: str, more: Sequence[str]) -> bool:
    """Whether an option is among the arguments for another command line."""
    return any(word.split("=")[0] == option for word in more)


def rehearse(more: Sequence[str]) -> int:
    """Run the rehearsal at real size, lab/rehearsal, with the arguments `more`."""
    python = environment()
    return run(python, LAB, "rehearsal", *more, COMFYUI_PATH=str(host(python)))


def prove(name: str, more: Sequence[str]) -> int:
    """Run lab/<name>, one of PROOFS, on the stand-ins and the pocket world's faces, with the arguments `more`."""
    parts = set_up(None)
    pocket = pocket_world(parts["python"], parts["comfyui"])
    command = [parts["python"], LAB, name, "--standins", parts["models"], "--pocket", pocket]
    return run(*command, *more, COMFYUI_PATH=str(parts["comfyui"]))


def cards(more: Sequence[str]) -> int:
    """Make the pictures of the workflows, lab/cards, on the pocket world's models, with the arguments `more`."""
    python = environment()
    comfyui = host(python)
    pocket = pocket_world(python, comfyui)
    return run(python, LAB, "cards", "--pocket", pocket, *more, COMFYUI_PATH=str(comfyui))


def fleet(models: Path | None, cpu: bool, more: Sequence[str]) -> int:
    """Run the fleet with the arguments `more`, on hosts of its own unless they name others.

    Those have the pocket world's models without a models folder; a list must then name these files.
    """
    if more[:1] != ["run"] or any(is_said(option, more) for option in ("--hosts", "--help", "-h")):
        named = ["--models", models] if models and more[:1] == ["run"] else []
        return run(environment(), FLEET, *more, *named, folder=Path.cwd())
    parts = set_up(models, pocket_world)
    command = [FLEET, *more, "--models", parts["models"]]
    if is_said("--dry-run", more):
        return run(parts["python"], *command, folder=Path.cwd())
    cpu = stays_on_cpu(models, cpu, parts["python"])
    with own_hosts(is_said("--ray", more), cpu=cpu, **parts) as named:
        return run(parts["python"], *command, *named, folder=Path.cwd())


def serve(models: Path | None, cpu: bool, port: int) -> int:
    """Run a server until Ctrl-C. What is saved in it stays in the cache folder, in one place for each checkout."""
    base = cache() / ("serve-" + digest(more=str(CHECKOUT)))
    parts = set_up(models)
    cpu = stays_on_cpu(models, cpu, parts["python"])
    with exclusive(base.with_suffix(".lock")), Server(base, port=port, cpu=cpu, **parts) as server:
        say(f"Workflows and pictures: {base}. Ctrl-C ends it.")
        return server.process.wait()


def existing_folder(text: str) -> Path:
    """Read a command line argument that names a folder."""
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def picture_size(text: str) -> int:
    """Read a command line argument that is the side of a picture: a latent has one pixel for each 8."""
    size = int(text)
    if size < 64 or size % 8:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 8 from 64 on")
    return size


def step_count(text: str) -> int:
    """Read a command line argument that is a number of steps."""
    steps = int(text)
    if steps < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1 step")
    return steps


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    models = argparse.ArgumentParser(add_help=False)
    models.add_argument("--models", type=existing_folder, metavar="DIR", help="a folder of real models")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--cpu", action="store_true", help="keep real models on the CPU; all others stay there anyway")
    extent = argparse.ArgumentParser(add_help=False)
    extent.add_argument("--size", type=picture_size, metavar="N", help="the side of the pictures, in pixels")
    extent.add_argument("--steps", type=step_count, metavar="N", help="the steps of the schedule")
    for_demo = commands.add_parser("demo", parents=[models, device, extent], allow_abbrev=False)
    for_demo.add_argument("--flow", choices=FLOWS, default=FLOWS[0])
    for_demo.add_argument("--output", type=lambda text: Path(text).resolve(), default=CHECKOUT / "output" / "demo")
    for_serve = commands.add_parser("serve", parents=[models, device], allow_abbrev=False)
    for_serve.add_argument("--port", type=int, default=8188)
    commands.add_parser("test", parents=[models, device, extent], allow_abbrev=False)
    for_bench = commands.add_parser("bench", parents=[models], add_help=False, allow_abbrev=False)
    for_bench.add_argument("name", choices=BENCHMARKS)
    commands.add_parser("fleet", parents=[models, device], add_help=False, allow_abbrev=False)  # --help is its own
    for name in ("rehearse", "cards", *PROOFS):
        commands.add_parser(name, add_help=False, allow_abbrev=False)  # --help is the package's own
    options, more = parser.parse_known_args(arguments)

    # Whatever ends us, `finally` must run, or a server stays behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in {"SIGTERM", "SIGHUP"} & vars(signal).keys():
        signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    try:
        if options.command == "test":
            if (options.size or options.steps) and not options.models:
                parser.error("test takes --size and --steps for the test of real models only: name them by --models")
            return test(options.models, options.cpu, options.size, options.steps, more)
        if options.command in PROOFS:
            return prove(options.command, more)
        if options.command == "bench":
            return bench(options.models, options.name, more)
        if options.command == "fleet":
            return fleet(options.models, options.cpu, more)
        if options.command == "rehearse":
            return rehearse(more)
        if options.command == "cards":
            return cards(more)
        if more:
            parser.error(f"unrecognized arguments: {' '.join(more)}")
        if options.command == "demo":
            return demo(options.models, options.cpu, options.flow, options.output, options.size, options.steps)
        return serve(options.models, options.cpu, options.port)
    except SetupError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

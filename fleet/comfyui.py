"""A ComfyUI of the fleet's own, on the machine of the process that starts it, and gone when that process is."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from .errors import HostGone

KEEPER = Path(__file__).with_name("keeper.py")
START = 300.0  # seconds until it must answer
LOG_END = 2000  # characters of the log that an error tells


class ComfyUI:
    """ComfyUI from `folder`, with more `arguments` for its command line, on a free port of this machine alone.

    device: the accelerator that it may see, as --cuda-device takes it; None leaves that to ComfyUI. Raises HostGone,
    with the end of its log, if it dies or does not answer within START seconds.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], device: str | None = None):
        self._temporary = tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True)
        self._log = Path(self._temporary.name, "comfyui.log")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Folders of its own: ComfyUI empties the temporary one when it starts, and two that write to one for the
        # outputs may choose the same name for a file. A database of its own: it is locked.
        command = [sys.executable, KEEPER, self._temporary.name, "main.py", "--port", port, "--disable-auto-launch"]
        command += ["--temp-directory", self._temporary.name]
        command += ["--output-directory", Path(self._temporary.name, "output")]
        command += ["--database-url", "sqlite:///:memory:"]
        command += [] if device is None else ["--cuda-device", device]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*map(str, command), *arguments], cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        self._wait()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._process.stdin.close()
        self._process.wait()
        self._temporary.cleanup()

    def _wait(self) -> None:
        started = time.monotonic()
        while not answers(self.url):
            late = time.monotonic() - started > START
            if late or not self.alive():
                log = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_END:]
                self.stop()
                told = f"does not answer within {START:.0f} s" if late else "has ended"
                raise HostGone(f"ComfyUI {told}; the end of its log:\n{log}")
            time.sleep(0.2)


def free_port(wanted: int = 0) -> int:
    """The port `wanted` of this machine if nobody listens on it, or any such port for 0. Raises OSError."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    """Whether a ComfyUI answers at `url`, on this machine."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine
    try:
        with direct.open(url + "/system_stats", timeout=5):
            return True
    except OSError:
        return False

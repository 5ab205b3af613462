"""Child processes that never stay behind, and what a person is told."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
GRACE = 15  # seconds that a process has to end by itself
WINDOWS = os.name == "nt"


class SetupError(RuntimeError):
    """Something a person has to see to; the message says what."""


def say(text: str) -> None:
    """Print a line at once, also where the output is a file."""
    print(text, flush=True)


def variables(**more: str) -> dict[str, str]:
    """The environment for a child: ours without what would mix other packages in, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **more}


def stop(process: subprocess.Popen, grace: float = GRACE) -> None:
    """End `process`: ask it to, and after `grace` seconds make it."""
    if process.poll() is None:
        if WINDOWS:
            process.terminate()
        else:
            process.send_signal(signal.SIGINT)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        finally:  # also after an impatient second Ctrl-C
            process.kill()
            process.wait()


def run(*command: str | Path, folder: Path = CHECKOUT, **more: str) -> int:
    """Run `command` in a folder, its output on the console, and return its exit status. `more`: variables."""
    process = subprocess.Popen([str(part) for part in command], cwd=folder, env=variables(**more))
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)  # the terminal has told the child as well
        raise
    finally:
        stop(process, 2 * GRACE)  # it may have a server of its own to end first


def must(*command: str | Path, **more: str) -> None:
    """Run `command` and raise SetupError if it fails."""
    if status := run(*command, **more):
        raise SetupError(f"this command failed with exit status {status}: {' '.join(map(str, command))}")

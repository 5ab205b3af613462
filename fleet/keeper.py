"""Runs a command for as long as whoever started this lives: python keeper.py COMMAND ...

Its standard input is a pipe from there, which the system closes even if that process is killed; then the command is
ended. Without this a killed worker would leave a ComfyUI behind, and with it the accelerator's memory.
"""

import subprocess
import sys
import threading

TIME_TO_END = 10.0  # seconds


def keep(command: list[str]) -> int:
    """Run it. Returns its exit status."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end_with_the_pipe() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        process.terminate()
        try:
            process.wait(TIME_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()

    threading.Thread(target=end_with_the_pipe, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))

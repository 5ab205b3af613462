"""Runs ComfyUI for as long as whoever started this lives:
python keeper.py TEMPORARY main.py ARGUMENTS ..., in ComfyUI's folder.

Its standard input is a pipe from there, which the system closes even if that process is killed. ComfyUI runs in this
very process, so that nothing is left behind, and no memory of the accelerator, whichever of the two is killed. Then
the folder TEMPORARY goes as well.
"""

import _thread
import atexit
import os
import runpy
import shutil
import sys
import threading
from pathlib import Path

TIME_TO_END = 10.0  # seconds


def end_with_the_pipe(temporary: str) -> None:
    """Wait for the pipe's end, then end this process: as Ctrl-C does, and if that takes too long at once."""
    while os.read(0, 4096):
        pass
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)  # nobody else is left to do it, or to read the log
    _thread.interrupt_main()
    threading.Event().wait(TIME_TO_END)
    shutil.rmtree(temporary, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    temporary = sys.argv[1]
    threading.Thread(target=end_with_the_pipe, args=(temporary,), daemon=True).start()
    del sys.argv[:2]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")

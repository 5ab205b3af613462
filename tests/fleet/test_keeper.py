"""A ComfyUI of the fleet's own ends with whoever started it, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.paths import CHECKOUT

from fleet.comfyui import ComfyUI
from fleet.errors import HostGone

SERVER = """
import http.server, os, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
open(sys.argv[-1], "w").write(str(os.getpid()))
open("temporary", "w").write(sys.argv[sys.argv.index("--temp-directory") + 1])
class Stats(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Stats).serve_forever()
"""
STARTER = """
import sys, time
sys.path.insert(0, {lab!r})
from host_server import load_package
load_package("fleet")
from pathlib import Path
from fleet.comfyui import ComfyUI
ComfyUI(Path({folder!r}), [{file!r}])
print("answers", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "main.py").write_text(SERVER)
    return tmp_path


def gone(process_id, seconds=15):
    """Whether a process ends within some seconds."""
    for _ in range(10 * seconds):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_it_answers_and_ends(folder):
    host = ComfyUI(folder, [str(folder / "id")])
    process_id = int((folder / "id").read_text())
    assert host.alive()
    host.stop()
    assert not host.alive() and gone(process_id, 1)


def test_it_ends_when_its_starter_is_killed(folder):
    code = STARTER.format(lab=str(CHECKOUT / "lab"), folder=str(folder), file=str(folder / "id"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout.readline() == b"answers\n"
        starter.send_signal(signal.SIGKILL)
    assert gone(int((folder / "id").read_text()))
    temporary = Path((folder / "temporary").read_text())
    for _ in range(100):
        if not temporary.exists():
            break
        time.sleep(0.1)
    assert temporary.name.startswith("fleet-") and not temporary.exists()


def test_one_that_dies_tells_the_end_of_its_log(tmp_path):
    (tmp_path / "main.py").write_text("raise SystemExit('no such option')")
    with pytest.raises(HostGone, match=r"has ended; the end of its log:\nno such option"):
        ComfyUI(tmp_path, [])

"""The fuzzer in a host of its own: what every change must pass. `python3 dev.py fuzz` runs thousands."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.paths import CHECKOUT, HOST

from devtools.models import pocket_world, standins


def test_two_hundred_fuzzed_prompts_show_no_fault(tmp_path):
    """No raw error, no NaN, no result that is silently wrong, no dead worker, no hang."""
    models = {"--standins": standins, "--pocket": pocket_world}
    folders = [part for name, make in models.items() for part in (name, str(make(Path(sys.executable), HOST)))]
    command = [sys.executable, str(CHECKOUT / "lab"), "fuzz", *folders, "--prompts", "200", "--seed", "1"]
    command += ["--output", str(tmp_path / "fuzz")]
    environment = {**os.environ, "COMFYUI_PATH": str(HOST)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "200 prompts, seed 1" in done.stdout

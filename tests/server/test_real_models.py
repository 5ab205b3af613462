"""The shipped workflow on real weights: `python3 dev.py test --models DIR`, where DIR is a ComfyUI models folder.

It runs on the accelerator where there is one and --cpu does not forbid it; --size and --steps make it smaller.
"""

import os
from pathlib import Path

import demo
import pytest
from helpers.host_client import Host
from helpers.real_server import start_server

MODELS = os.environ.get("CUSTOMENHANCER_MODELS")
CPU = os.environ.get("CUSTOMENHANCER_DEVICE") != "accelerator"
SIZE, STEPS = (int(os.environ.get(f"CUSTOMENHANCER_{name}", 0)) or None for name in ("SIZE", "STEPS"))


@pytest.mark.skipif(not MODELS, reason="no folder of real models was named (dev.py test --models DIR)")
def test_the_pipeline_inverts_a_real_model_exactly(tmp_path, measured, capfd):
    models = Path(MODELS)
    # This takes long: what it is going to take, and how far it is, are for the person who waits.
    with start_server(tmp_path, models, cpu=CPU) as server, capfd.disabled():
        pictures, report = demo.run_demo(Host(server.url), "photomaker-v1", models, size=SIZE, steps=STEPS)
    steps = report["steps"]
    what = f"reconstruction error, real models, CFG 5, {report['size']} px, {steps} steps, {report['device']}"
    measured(what, report["reconstruction_max_abs_error"])
    assert report["guider_calls"] == {"scene": steps, "inversion": steps + 1, "bimd": steps}
    assert report["reconstruction_max_abs_error"] <= 1e-5
    assert pictures["final"].size == pictures["scene"].size

"""The shipped workflow on real weights: `python3 dev.py test --models DIR`, where DIR is a ComfyUI models folder."""

import os
from pathlib import Path

import demo
import pytest
from helpers.host_client import Host
from helpers.real_server import start_server

MODELS = os.environ.get("CUSTOMENHANCER_MODELS")


@pytest.mark.skipif(not MODELS, reason="no folder of real models was named (dev.py test --models DIR)")
def test_the_pipeline_inverts_a_real_model_exactly(tmp_path, measured):
    with start_server(tmp_path, models=Path(MODELS)) as server:
        pictures, report = demo.run_demo(Host(server.url), "photomaker-v1", real_models=True)
    measured("reconstruction error, real models, CFG 5, 50 steps", report["reconstruction_max_abs_error"])
    assert report["guider_calls"] == {"scene": 50, "inversion": 51, "bimd": 50}
    assert report["reconstruction_max_abs_error"] <= 1e-5
    assert pictures["final"].size == pictures["scene"].size

"""The demo on the command line: what it says before it starts, and when its server dies."""

import os
import subprocess
import sys

import demo
import psutil
import pytest
from helpers.host_client import Host, find
from helpers.paths import CHECKOUT, HOST
from helpers.plan import guider_calls, plan, size_on_disk

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import dev
dev.environment = lambda: sys.executable
sys.exit(dev.main(sys.argv[2:]))
"""


def test_the_client_needs_no_name_of_a_host_nor_a_folder():
    """dev.py gives it an address alone."""
    environment = {name: value for name, value in os.environ.items() if name != "COMFYUI_PATH"}
    client = [sys.executable, str(CHECKOUT / "tests" / "demo.py"), "--help"]
    subprocess.run(client, env=environment, cwd="/", check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def command(tmp_path):
    """Start `dev.py` with the given arguments, in this Python and with this host; gives the process."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(CHECKOUT), *arguments],
            env={**os.environ, "COMFYUI_PATH": str(HOST)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()  # dev.py ends its children
        process.wait(60)
        process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
def test_a_server_that_is_killed_ends_the_demo_with_the_reason_and_the_log(command, tmp_path):
    process = command("demo", "--flow", "lora", "--steps", "500", "--size", "64", "--output", str(tmp_path))
    said = b""
    while b"Sample the scene" not in said:
        said += (more := os.read(process.stdout.fileno(), 4096))
        assert more, said.decode()
    (server,) = [child for child in psutil.Process(process.pid).children() if "main.py" in child.cmdline()]
    server.kill()
    rest, _ = process.communicate(timeout=30)
    said = (said + rest).decode()
    assert process.returncode == 1 and "Traceback" not in said
    assert "64 x 64 pixels, 500 steps, 2501 guider calls with all comparisons, on cpu (" in said
    assert "the connection to ComfyUI at http://127.0.0.1:" in said
    log = tmp_path / "lora" / "comfyui.log"
    assert "dev.py: ComfyUI was killed by SIGKILL" in said and f"the end of {log}" in said
    assert said.rstrip().endswith(log.read_text().rstrip()[-200:])


@pytest.mark.parametrize("steps", [50, 20, 1])
def test_a_shorter_schedule_takes_fewer_calls(steps):
    prompt = demo.load_workflow(demo.FLOWS["instantid"], real_models=True)
    demo.set_steps(prompt, steps)
    demo.add_branches(prompt)
    assert prompt[find(prompt, "BasicScheduler")]["inputs"]["steps"] == steps
    assert guider_calls(prompt) == 5 * steps + 1


def test_the_size_on_disk_is_that_of_the_files_that_the_workflow_names(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    sizes = {
        "checkpoints/sd_xl_base_1.0.safetensors": 1,
        "checkpoints/another.safetensors": 10,
        "insightface/inswapper_128.onnx": 100,
        "insightface/models/buffalo_l/det_10g.onnx": 1000,
        "insightface/models/antelopev2/det_10g.onnx": 10000,
    }
    for name, size in sizes.items():
        file = elsewhere / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
    models = tmp_path / "models"
    models.mkdir()
    for folder in elsewhere.iterdir():  # as in many a models folder
        (models / folder.name).symlink_to(folder, target_is_directory=True)
    prompt = demo.load_workflow(demo.FLOWS["photomaker-v1"], real_models=True)
    assert size_on_disk(prompt, models) == 1101


@pytest.mark.parametrize(("kind", "computes_in_fp32"), [("cpu", True), ("cuda", False)])
def test_the_plan_of_real_models_names_the_device_its_memory_and_the_files(
    tmp_path, monkeypatch, kind, computes_in_fp32
):
    stats = {"devices": [{"name": "cuda:0 Some Card", "type": kind, "vram_free": 3 * 2**30, "vram_total": 4 * 2**30}]}
    monkeypatch.setattr(Host, "get_json", lambda self, path: stats)
    with open(tmp_path / "sd_xl_base_1.0.safetensors", "wb") as file:
        file.truncate(5 * 2**30)  # takes no room
    prompt = demo.load_workflow(demo.FLOWS["photomaker-v1"], real_models=True)
    told = plan(Host("http://nowhere"), prompt, tmp_path)
    assert told.startswith("1024 x 1024 pixels, 50 steps, 151 guider calls with all comparisons, on cuda:0 Some Card")
    assert "(3.0 of 4.0 GiB of memory free)" in told and "model files: 5.0 GiB on disk" in told
    assert ("fp32" in told) == computes_in_fp32

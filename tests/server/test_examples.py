"""The examples on the command line, on stand-in models: what they make, and what they leave behind on the server."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import demo
import numpy as np
import pytest
import skimage.data
from helpers.paths import CHECKOUT
from PIL import Image

POLLING, WEBSOCKET = "run_workflow.py", "run_workflow_websocket.py"
both_examples = pytest.mark.parametrize("file", [POLLING, WEBSOCKET])
STEPS, LONG = 4, 2000  # a job that is to be cancelled would take minutes


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "Zoë's friend.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


@pytest.fixture
def start(tmp_path, host):
    """Start an example with a shipped workflow on the stand-ins and these options; gives the process."""
    started = []

    def start(file, flow, *options, steps=STEPS):
        workflow = tmp_path / "workflow.json"
        workflow.write_text(json.dumps(demo.load_workflow(demo.FLOWS[flow], real_models=False)), encoding="utf-8")
        command = [sys.executable, CHECKOUT / "api_examples" / file, workflow, "--server", host.url]
        command += ["--output", tmp_path / "pictures", "--set", f"Schedule.steps={steps}", *options]
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def run(start):
    """Run an example to its end. Returns its status, what it printed and what it said meanwhile."""

    def run(*arguments, **more):
        process = start(*arguments, **more)
        printed, said = process.communicate(timeout=300)
        return process.returncode, printed.decode(), said.decode()

    return run


def last_jobs(host, count):
    """The newest entries of the server's history, oldest first."""
    return list(host.get_json("/history", max_items=count).values())


def wait_until_idle(host):
    deadline = time.monotonic() + 60
    while any(host.get_json("/queue").values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def titles_that_ran(said):
    """The titles that the websocket's example showed, without their progress."""
    return {re.sub(r" \d+/\d+$", "", line) for line in re.split(r"[\r\n]+", said)[1:]} - {""}


@both_examples
def test_each_seed_gives_a_picture_of_the_photo_and_the_prompt(host, run, photo, tmp_path, file):
    text = 'a photo of a man img, "in a library"'
    options = (
        "--photo",
        photo,
        "--seed",
        "3",
        "4",
        "--set",
        f"Prompt.text={text}",
        "--set",
        "Prompt.lora_strength=0.5",
    )
    status, printed, said = run(file, "photomaker-v2", *options)
    assert status == 0, said
    pictures = [tmp_path / "pictures" / name for name in sorted(os.listdir(tmp_path / "pictures"))]
    assert sorted(printed.splitlines()) == list(map(str, pictures))
    assert [re.match(r"Zoë's friend_(\d)_CustomEnhancer_", path.name)[1] for path in pictures] == ["3", "4"]
    pixels = [np.asarray(Image.open(path), float) for path in pictures]
    assert pixels[0].shape == (256, 256, 3) and np.abs(pixels[0] - pixels[1]).max() > 1
    for seed, job in zip((3, 4), last_jobs(host, 2), strict=True):
        prompt = job["prompt"][2]
        inputs = {title: prompt[demo.find_title(prompt, title)]["inputs"] for title in ("Prompt", "Seed of the scene")}
        assert inputs["Prompt"]["text"] == text and inputs["Prompt"]["lora_strength"] == 0.5
        assert inputs["Seed of the scene"]["noise_seed"] == seed
        uploaded = prompt[demo.find_title(prompt, "Reference person")]["inputs"]["image"]
        assert host.get("/view", filename=uploaded, type="input") == photo.read_bytes()


def test_another_picture_of_the_same_name_replaces_none(host, run, photo):
    """Nor is the same picture kept twice, so that its nodes need not run again."""
    friend, names = photo.read_bytes(), []
    Image.fromarray(skimage.data.astronaut()[..., ::-1].copy()).save(photo)
    for content in (friend, photo.read_bytes(), friend):
        photo.write_bytes(content)
        status, _, said = run(POLLING, "lora", "--photo", photo)
        assert status == 0, said
        (job,) = last_jobs(host, 1)
        names.append(job["prompt"][2][demo.find_title(job["prompt"][2], "Reference person")]["inputs"]["image"])
    assert names[0] == names[2] != names[1]


@both_examples
def test_a_missing_file_ends_it_with_the_nodes_message_and_leaves_nothing_behind(host, run, photo, file):
    """The scene does not need the file, so the server has queued it."""
    options = ("--photo", photo, "--set", "IdentityNet.control_net_name=absent.safetensors")
    status, printed, said = run(file, "instantid", *options, steps=LONG)
    assert status == 1 and not printed
    assert said.startswith("IdentityNet (") and "Value not in list" in said and "absent.safetensors" in said
    wait_until_idle(host)
    for job in last_jobs(host, 1):
        steps = [node["inputs"].get("steps") for node in job["prompt"][2].values()]
        assert LONG not in steps or job["status"]["messages"][-1][0] == "execution_interrupted"


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
@both_examples
def test_ctrl_c_ends_the_job_on_the_server_too(host, start, photo, file):
    process, said = start(file, "lora", "--photo", photo, "--seed", "11", steps=LONG), ""
    while not re.search("running, [1-9]" if file == POLLING else "Sample the scene [1-9]", said):
        more = os.read(process.stderr.fileno(), 4096).decode()
        assert more, said
        said += more
    process.send_signal(signal.SIGINT)
    printed, rest = process.communicate(timeout=60)
    assert process.returncode == 1 and not printed and rest.decode().endswith("\ncancelled\n")
    assert "Traceback" not in rest.decode()
    wait_until_idle(host)
    (job,) = last_jobs(host, 1)
    assert job["status"]["messages"][-1][0] == "execution_interrupted"


def test_another_balance_runs_neither_the_scene_nor_the_inversion_again(run, photo, measured):
    """By the server's own messages, which the example shows."""
    before = {"Sample the scene", "Swap the face in", "ResInversion", "Prompt"}
    after = {"Scene or identity", "Pivot and forward flow", "Sample the three flows", "Final picture"}
    ran = []
    for balance in ("paper", "strongest identity", "strongest identity"):
        options = ("--photo", photo, "--seed", "12", "--set", f"Scene or identity.balance={balance}")
        status, printed, said = run(WEBSOCKET, "photomaker-v2", *options)
        assert status == 0 and len(printed.splitlines()) == 1, said
        ran.append(titles_that_ran(said))
        kept, nodes = map(int, re.match(r"(\d+) of (\d+) nodes are as in an earlier job", said).groups())
        assert nodes - kept >= len(ran[-1])
    assert before | after <= ran[0] and after <= ran[1] and not before & ran[1] and ran[2] == set()
    measured(f"of {nodes} nodes those that run again with another balance", len(ran[1]))
    measured(f"of {nodes} nodes those that run again with nothing changed", len(ran[2]))


def test_a_photo_without_a_face_fails_its_own_job_only(run, photo, tmp_path):
    blank = tmp_path / "blank.png"
    Image.new("RGB", (256, 256), "white").save(blank)
    status, printed, said = run(POLLING, "photomaker-v2", "--photo", blank, photo)
    assert status == 1 and re.search(r"^blank CE_\w+ \(\d+\): .*no face", said, re.MULTILINE), said
    assert [os.path.basename(line).split("_")[0] for line in printed.splitlines()] == [photo.stem]

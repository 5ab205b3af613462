"""The page for users of the HTTP API: what it quotes of the examples, and its claims, against a real server."""

import importlib
import json
import re
import runpy
import time
import uuid
from pathlib import Path

import demo
import pytest
import skimage.data
from helpers.paths import CHECKOUT
from helpers.prompts import inversion_prompt, node
from PIL import Image

PAGE = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def example(monkeypatch):
    """The example that the page quotes."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "api_examples"))
    return importlib.import_module("run_workflow")


def submit(example, host, prompt):
    """Submit a prompt. Returns its id."""
    prompt_id = str(uuid.uuid4())
    example.submit(host.url, prompt, prompt_id)
    return prompt_id


def missing_file_prompt(class_type, **file):
    """A prompt of two branches: one that works, and one whose loader names a file that is not there."""
    prompt = inversion_prompt(steps=2, size=64)
    if class_type == "ControlNetLoader":
        prompt["missing"] = node(class_type, **file)
        inputs = {"positive": ["positive", 0], "negative": ["negative", 0], "control_net": ["missing", 0]}
        prompt["image"] = node("EmptyImage", width=64, height=64, batch_size=1, color=0)
        limits = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        prompt["applied"] = node("ControlNetApplyAdvanced", **inputs, **limits, image=["image", 0])
        conds = {"positive": ["applied", 0], "negative": ["applied", 1]}
        prompt["steered"] = node("CFGGuider", model=["model", 0], **conds, cfg=2.0)
    else:
        prompt["missing"] = node(class_type, **file)
        people = {"reference_images": ["image", 0], "text": "a photo of a man img"}
        prompt["image"] = node("EmptyImage", width=64, height=64, batch_size=1, color=0)
        prompt["person"] = node(
            "CE_PhotoMakerForwardFlow", model=["model", 0], clip=["model", 1], photomaker=["missing", 0], **people
        )
        conds = {"positive": ["person", 1], "negative": ["negative", 0]}
        prompt["steered"] = node("CFGGuider", model=["person", 0], **conds, cfg=2.0)
    prompt["other"] = {**prompt["sampled"], "inputs": {**prompt["sampled"]["inputs"], "guider": ["steered", 0]}}
    prompt["other_difference"] = node("TestLatentDifference", a=["picture", 0], b=["other", 0])
    return prompt


@pytest.mark.parametrize(
    ("class_type", "file", "says"),
    [
        ("ControlNetLoader", {"control_net_name": "instantid_identity_net.safetensors"}, "Value not in list"),
        ("CE_PhotoMakerLoader", {"photomaker_name": "photomaker-v9.bin"}, "Custom validation failed"),
    ],
)
def test_a_prompt_that_lacks_a_file_is_refused_with_its_node_named_and_leaves_nothing_running(
    host, example, class_type, file, says
):
    prompt, prompt_id = missing_file_prompt(class_type, **file), str(uuid.uuid4())
    answer = example.call(host.url, "/prompt", {"prompt": prompt, "prompt_id": prompt_id})
    assert "error" not in answer and answer["node_errors"]["missing"]["dependent_outputs"] == ["other_difference"]
    example.wait(host.url, prompt_id, 0.1)  # without the example's care the rest runs, and nothing more is said
    prompt["sigmas"]["inputs"]["steps"] = 900  # nothing that is kept from the last run, and long
    (name,), prompt_id = file.values(), str(uuid.uuid4())
    with pytest.raises(ValueError, match=rf"^{class_type} \(missing\): {says}.*{re.escape(name)}"):
        example.submit(host.url, prompt, prompt_id)
    with pytest.raises(RuntimeError, match="cancelled|deleted"):  # it may have begun before it was taken back
        example.wait(host.url, prompt_id, 0.1)


def test_a_prompt_that_lacks_everything_is_refused(host, example):
    prompt = inversion_prompt()
    prompt["model"]["inputs"]["ckpt_name"] = "absent.safetensors"
    with pytest.raises(ValueError, match=r"^CheckpointLoaderSimple \(model\): Value not in list: .*absent.safetensors"):
        submit(example, host, prompt)
    with pytest.raises(ValueError, match="no outputs"):
        submit(example, host, {"latent": node("EmptyLatentImage", width=64, height=64, batch_size=1)})


def test_an_id_that_is_no_uuid_is_refused(host, example):
    with pytest.raises(ValueError, match="prompt_id must be a valid UUID"):
        example.submit(host.url, inversion_prompt(), uuid.uuid4().hex)
    answer = example.call(host.url, "/prompt", {"prompt": inversion_prompt(), "prompt_id": "mine"})
    assert answer["error"]["type"] == "invalid_prompt_id"


def test_a_whole_prompt_runs_and_gives_its_outputs(host, example):
    outputs = example.run(host.url, inversion_prompt(steps=2, size=64))
    assert float(outputs["difference"]["text"][0]) <= 1e-5


def test_a_node_that_fails_is_raised(host, example):
    prompt = inversion_prompt(steps=2, size=64)
    prompt["inversion"]["inputs"]["sigmas"] = ["flipped", 0]
    prompt["flipped"] = node("FlipSigmas", sigmas=["sigmas", 0])
    with pytest.raises(RuntimeError, match=r"^CE_ResInversion \(inversion\): sigmas: must descend"):
        example.run(host.url, prompt)


def test_a_job_that_is_cancelled_is_raised_whether_it_waits_or_runs(host, example):
    long = [inversion_prompt(steps=900, size=64, cfg=cfg) for cfg in (3.0, 4.0)]
    runs, waits = (submit(example, host, prompt) for prompt in long)
    deadline = time.monotonic() + 60
    while example.job(host.url, runs)["status"] == "pending":
        assert time.monotonic() < deadline
    assert example.job(host.url, waits)["status"] == "pending" and host.get_json(f"/history/{runs}") == {}
    for prompt_id, says in ((waits, "deleted"), (runs, "cancelled")):
        example.cancel(host.url, prompt_id)
        with pytest.raises(RuntimeError, match=says):
            example.wait(host.url, prompt_id, 0.1)


def test_a_job_that_nobody_submitted_is_not_waited_for(host, example):
    with pytest.raises(RuntimeError, match="does not know the job"):
        example.wait(host.url, str(uuid.uuid4()))


def test_the_page_quotes_the_example_to_the_letter():
    source = (CHECKOUT / "api_examples" / "run_workflow.py").read_text(encoding="utf-8")
    quoted = [block for block in BLOCKS if block.startswith("def ")]
    assert len(quoted) == 2
    for block in quoted:
        assert f"\n\n\n{block}\n\n" in source


def test_the_pages_program_makes_three_pictures(host, example, tmp_path, monkeypatch):
    """On stand-in models, in their size, at another address; all the rest is as on the page."""
    (program,) = [block for block in BLOCKS if "run(server" in block]
    workflow = re.search(r"workflows/api/(\w+\.json)", program)[1]
    prompt = demo.load_workflow(workflow, real_models=False)
    demo.set_steps(prompt, 4)
    (tmp_path / "workflows" / "api").mkdir(parents=True)
    (tmp_path / "workflows" / "api" / workflow).write_text(json.dumps(prompt), encoding="utf-8")
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "friend.jpg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(program.replace("http://127.0.0.1:8188", host.url), encoding="utf-8")
    runpy.run_path("program.py")
    assert len(list((tmp_path / "pictures").iterdir())) == 3


def test_the_workflows_that_it_runs_are_shipped_and_the_identity_net_is_called_the_same_on_every_page():
    workflows = set(re.findall(r"workflows/api/[\w.]+", PAGE))
    assert workflows and all((CHECKOUT / workflow).is_file() for workflow in workflows)
    name, download = "instantid_identity_net.safetensors", "diffusion_pytorch_model.safetensors"
    prompt = demo.load_workflow(demo.FLOWS["instantid"], real_models=True)
    assert prompt[demo.find_title(prompt, "IdentityNet")]["inputs"]["control_net_name"] == name
    for page in (
        "README.md",
        "docs/api.md",
        "web/docs/CE_InstantIDLoader.md",
        "web/docs/CE_InstantIDForwardFlow.md",
        "workflows/CustomEnhancer InstantID.app.json",
        "identity/identity_net.py",
        "nodes/instantid.py",
    ):
        text = (CHECKOUT / page).read_text(encoding="utf-8")
        assert name in text and download in text, page


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["instantid_identity_net.safetensors", "a/instantid_identity_net.safetensors"], 0),
        (["diffusion_pytorch_model.safetensors", "instantid_identity_net.safetensors"], 1),
        (["SDXL/instantid/diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors"], 1),
        (["SDXL/instantid/diffusion_pytorch_model.safetensors", "other.safetensors"], 0),
        (["other.safetensors"], None),
    ],
)
def test_the_demo_finds_the_identity_net_under_either_name(tmp_path, files, chosen):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    prompt = demo.load_workflow(demo.FLOWS["instantid"], real_models=True)
    demo.choose_installed(prompt, tmp_path)
    expected = "instantid_identity_net.safetensors" if chosen is None else str(Path(files[chosen]))
    assert prompt[demo.find_title(prompt, "IdentityNet")]["inputs"]["control_net_name"] == expected

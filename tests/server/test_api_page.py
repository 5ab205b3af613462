"""The page for users of the HTTP API: its own code, run as it stands there, against a real server."""

import re
from pathlib import Path

import demo
import pytest
from helpers.paths import CHECKOUT
from helpers.prompts import inversion_prompt, node

PAGE = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page():
    """What the page's first block of code defines."""
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    return names


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


def left(host, known: set) -> set:
    """The prompts that the host has waiting, running or done, beyond those known."""
    queue = host.get_json("/queue")
    waiting = {entry[1] for entry in (*queue["queue_running"], *queue["queue_pending"])}
    return (waiting | host.get_json("/history").keys()) - known


@pytest.mark.parametrize(
    ("class_type", "file", "says"),
    [
        ("ControlNetLoader", {"control_net_name": "instantid_identity_net.safetensors"}, "Value not in list"),
        ("CE_PhotoMakerLoader", {"photomaker_name": "photomaker-v9.bin"}, "Custom validation failed"),
    ],
)
def test_a_prompt_that_lacks_a_file_is_refused_with_its_node_named_and_leaves_nothing_running(
    host, page, class_type, file, says
):
    prompt, known = missing_file_prompt(class_type, **file), set(host.get_json("/history"))
    answer = page["post"](host.url, "/prompt", {"prompt": prompt})
    assert "error" not in answer and answer["node_errors"]["missing"]["dependent_outputs"] == ["other_difference"]
    page["wait"](host.url, answer["prompt_id"], 0.1)  # without the page's care the rest runs, and nothing more is said
    known.add(answer["prompt_id"])
    prompt["sigmas"]["inputs"]["steps"] = 900  # nothing that is kept from the last run, and long
    (name,) = file.values()
    with pytest.raises(ValueError, match=rf"^{class_type} \(missing\): {says}.*{re.escape(name)}"):
        page["submit"](host.url, prompt)
    for prompt_id in left(host, known):  # it may have begun before it was taken back: then it was interrupted
        with pytest.raises(RuntimeError, match="interrupted"):
            page["wait"](host.url, prompt_id, 0.1)


def test_a_prompt_that_lacks_everything_is_refused(host, page):
    prompt = inversion_prompt()
    prompt["model"]["inputs"]["ckpt_name"] = "absent.safetensors"
    with pytest.raises(ValueError, match=r"^CheckpointLoaderSimple \(model\): Value not in list: .*absent.safetensors"):
        page["submit"](host.url, prompt)
    with pytest.raises(ValueError, match="no outputs"):
        page["submit"](host.url, {"latent": node("EmptyLatentImage", width=64, height=64, batch_size=1)})


def test_a_whole_prompt_runs_and_gives_its_outputs(host, page):
    outputs = page["wait"](host.url, page["submit"](host.url, inversion_prompt(steps=2, size=64)), 0.1)
    assert float(outputs["difference"]["text"][0]) <= 1e-5


def test_a_node_that_fails_is_raised(host, page):
    prompt = inversion_prompt(steps=2, size=64)
    prompt["inversion"]["inputs"]["sigmas"] = ["flipped", 0]
    prompt["flipped"] = node("FlipSigmas", sigmas=["sigmas", 0])
    with pytest.raises(RuntimeError, match="sigmas: must descend"):
        page["wait"](host.url, page["submit"](host.url, prompt), 0.1)


def test_the_workflow_that_it_runs_is_shipped_and_names_the_file_as_every_page_does():
    (workflow,) = re.findall(r'open\("(workflows/api/.*?)"', PAGE)
    assert (CHECKOUT / workflow).is_file()
    name, download = "instantid_identity_net.safetensors", "diffusion_pytorch_model.safetensors"
    prompt = demo.load_workflow(Path(workflow).name, real_models=True)
    assert prompt[demo.find_title(prompt, "IdentityNet")]["inputs"]["control_net_name"] == name
    for page in (
        "README.md",
        "docs/api.md",
        "web/docs/CE_InstantIDLoader.md",
        "web/docs/CE_InstantIDForwardFlow.md",
        "workflows/CustomEnhancer with InstantID.json",
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

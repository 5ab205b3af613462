"""Prompts that mean harm, or come of a typing error, in a real server: a clean error each, and the next prompt runs."""

import os

import pytest
from helpers.host_client import PromptError
from helpers.prompts import difference, inversion_prompt, node

SECONDS = 120  # in which a worker that is alive has answered
UNDECODABLE = b"spoilt\xff.inversion.safetensors"


def anything(value):
    """A node whose output may be linked to any input, as many packs have one."""
    return node("ComfySwitchNode", switch=True, on_true=value, on_false=value)


def small_prompt(**nodes):
    return {**inversion_prompt(steps=2, size=64), **nodes}


def with_input(node_id, **inputs):
    """A sound prompt but for some inputs of one node."""
    prompt = small_prompt()
    prompt[node_id]["inputs"].update(inputs)
    return prompt


def linked(prompt, node_id, name, value):
    """The prompt with a value that comes to an input by a link."""
    prompt[node_id]["inputs"][name] = ["anything", 0]
    return {**prompt, "anything": anything(value)}


def triple(**inputs):
    """All three flows in one node."""
    flows = {"pivot_flow": ["guider", 0], "forward_flow": ["guider", 0], "residual_noise": ["inversion", 0]}
    return small_prompt(sampled=node("CE_TripleFlowSample", **flows, latent_image=["inversion", 1], **inputs))


def saved(prefix):
    return small_prompt(save=node("CE_SaveResidualNoise", residual_noise=["inversion", 0], filename_prefix=prefix))


def keypoints(width, height):
    return {
        "image": node("EmptyImage", width=width, height=height, batch_size=1, color=0),
        "faces": node("CE_FaceAnalysisLoader", pack="buffalo_l", provider="CPU"),
        "points": node("CE_FaceKeypoints", image=["image", 0], face_analysis=["faces", 0]),
    }


def stretched():
    """Two pictures joined in time, which a picture has not: the host joins their channels."""
    prompt = with_input("inversion", latent_image=["joined", 0])
    prompt["joined"] = node("LatentConcat", samples1=["picture", 0], samples2=["picture", 0], dim="t")
    return prompt


def video():
    prompt = with_input("inversion", latent_image=["video", 0])
    prompt["video"] = node("EmptyHunyuanLatentVideo", width=64, height=64, length=5, batch_size=1)
    return prompt


PROMPTS = {
    "a surrogate in a prefix": (saved("\ud800x"), r"filename_prefix: holds '\ud800'"),
    "a NUL in a prefix": (saved("a\0b"), r"filename_prefix: holds '\x00'"),
    "a surrogate in a name": (
        small_prompt(load=node("CE_LoadPivot", pivot_name="\ud800x"), show=node("CE_SavePivot", pivot=["load", 0])),
        r"pivot_name: \ud800x is not there",
    ),
    "null for a name": (
        small_prompt(load=node("CE_LoadPivot", pivot_name=None), show=node("CE_SavePivot", pivot=["load", 0])),
        "pivot_name: there is none (null)",
    ),
    "NaN": (triple(forward_scale=float("nan")), "forward_scale: is nan"),
    "NaN by a link": (linked(triple(), "sampled", "forward_scale", float("nan")), "forward_scale: is nan"),
    "a fraction": (linked(triple(), "sampled", "start_step", 3.7), "start_step: 3.7 is not a whole number"),
    "beyond the range": (linked(triple(), "sampled", "backward_scale", 2.5), "backward_scale: 2.5 is above 2"),
    "an unknown word": (
        linked(small_prompt(), "inversion", "evaluate_at", "soon"),
        "evaluate_at: 'soon' is not one of its options",
    ),
    "text for a guider": (
        linked(small_prompt(), "inversion", "guider", "euler"),
        "guider: 'euler' is not what belongs here",
    ),
    "null for a guider": (with_input("inversion", guider=None), "guider: there is none (null)"),
    "no tensor in a latent": (
        linked(small_prompt(), "inversion", "latent_image", {"samples": 5}),
        "latent_image: 'int' is not a LATENT",
    ),
    "twice the channels": (stretched(), "latent_image: holds latents of shape (1, 8, 8, 8)"),
    "a video": (video(), "latent_image: holds latents of shape (1, 16, 2, 8, 8)"),
    "one row": (keypoints(700, 1), "image: no face found in picture 0"),
    "one pixel": (keypoints(1, 1), "image: no face found in picture 0"),
    "no curve": (triple(forward_curve={"points": "none"}), "forward_curve: {'points': 'none'} is not a curve"),
}


def survives(host):
    return difference(host.run(small_prompt(), timeout=SECONDS)) <= 1e-5


@pytest.mark.parametrize("what", PROMPTS)
def test_the_error_is_clean_and_the_next_prompt_runs(host, server, what):
    prompt, said = PROMPTS[what]
    with pytest.raises(PromptError) as caught:
        host.run(prompt, timeout=SECONDS)
    assert said in str(caught.value).replace("\\\\", "\\")
    assert survives(host)
    assert "UnicodeEncodeError" not in server.log.read_text(encoding="utf-8", errors="replace")


def test_a_name_written_on_windows_finds_its_file(host):
    run = host.run(saved("sub/scene"), timeout=SECONDS)
    (file,) = run.outputs["save"]["recordings"]
    name = f"{file['subfolder']}\\{file['filename']} [output]"
    prompt = small_prompt(load=node("CE_LoadResidualNoise", residual_noise_name=name))
    prompt["bimd"]["inputs"]["residual_noise"] = ["load", 0]
    prompt["sampled"]["inputs"]["latent_image"] = ["load", 1]
    assert difference(host.run(prompt, timeout=SECONDS)) <= 1e-5


@pytest.fixture
def undecodable(server):
    """A file whose name is no UTF-8, among the recordings of the input folder; its name as Python spells it."""
    path = os.path.join(os.fsencode(server.base), b"input", UNDECODABLE)
    try:
        with open(path, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes no name that is not UTF-8")
    yield os.fsdecode(UNDECODABLE)
    os.remove(path)


def test_an_undecodable_file_name_does_no_harm(host, server, undecodable):
    (options, *_) = host.get_json("/object_info/CE_LoadPivot")["CE_LoadPivot"]["input"]["required"]["pivot_name"][1:]
    assert undecodable in options["options"]
    for name in (undecodable, f"{undecodable}x"):
        prompt = small_prompt(load=node("CE_LoadPivot", pivot_name=name), show=node("CE_SavePivot", pivot=["load", 0]))
        with pytest.raises(PromptError, match=r"pivot_name: .*spoilt\\+udcff"):
            host.run(prompt, timeout=SECONDS)
        assert survives(host)
    assert "UnicodeEncodeError" not in server.log.read_text(encoding="utf-8", errors="replace")

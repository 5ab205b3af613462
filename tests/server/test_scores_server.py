"""Picture Scores in a real server: with a checkpoint's CLIP, a scene and face models, and with one missing."""

import pytest
import skimage.data
from helpers.host_client import PromptError
from helpers.prompts import node
from PIL import Image


def scores_prompt(host):
    """The astronaut, once mirrored, scored by everything but a mask; and each output looked at."""
    person = Image.fromarray(skimage.data.astronaut())
    prompt = {
        "model": node("CheckpointLoaderSimple", ckpt_name="tiny_sdxl.safetensors"),
        "half": node("TestClipVision", width=1280),
        "analysis": node("CE_FaceAnalysisLoader", pack="buffalo_l", provider="CPU"),
        "person": node("LoadImage", image=host.upload("scored.png", person)),
        "mirrored": node("ImageFlip", image=["person", 0], flip_method="y-axis: horizontally"),
        "both": node("ImageBatch", image1=["person", 0], image2=["mirrored", 0]),
        "scores": node(
            "CE_PictureScores",
            **{"image": ["both", 0], "reference": ["person", 0], "face_analysis": ["analysis", 0]},
            **{"clip": ["model", 1], "clip_vision": ["half", 0], "text": "a woman in a space suit"},
            **{"scene": ["person", 0], "no_face": "pass_through"},
        ),
    }
    return prompt | {f"digest {slot}": node("TestDigest", value=["scores", slot]) for slot in range(5)}


def test_every_score_is_measured_shown_and_handed_on(host):
    run = host.run(scores_prompt(host))
    shown = run.outputs["scores"]
    assert len(shown["images"]) == 2
    assert host.picture(shown["images"][0]).size[0] == 512 and host.picture(shown["images"][0]).size[1] > 512
    lines = shown["text"][0].split("\n")
    names = ("face", "CLIP-T", "scene distance")
    assert all(line.startswith(f"{name} ") for name, line in zip(names, lines, strict=False))
    assert lines[3].startswith("picture 0: face 1.000, CLIP-T ") and lines[3].endswith("scene distance 0.000")
    assert not lines[4].endswith("scene distance 0.000")
    assert all('"finite": true' in run.outputs[f"digest {slot}"]["text"][0] for slot in range(5))


def test_what_was_not_measured_says_so_to_the_node_that_uses_it_and_the_rest_is_there(host):
    prompt = scores_prompt(host)
    inputs = prompt["scores"]["inputs"]
    for name in ("clip", "clip_vision"):
        del inputs[name]
    with pytest.raises(PromptError, match=r"digest 1.*clip_t: was not measured\. Connect clip_vision and clip"):
        host.run(prompt)
    del prompt["digest 1"]
    assert "CLIP-T" not in host.run(prompt).outputs["scores"]["text"][0]


@pytest.mark.parametrize("width", [768, 1024])
def test_an_image_half_of_another_clip_is_refused(host, width):
    """CLIP-L is in an SDXL checkpoint, and its projection is not."""
    prompt = scores_prompt(host)
    prompt["half"]["inputs"]["width"] = width
    with pytest.raises(PromptError, match="clip: the file of its" if width == 768 else "clip_vision: its embeddings"):
        host.run(prompt)

"""Sweeps in a real server: what is swept runs once for each value, the inversion once, and one sheet gathers it all."""

import numpy as np
import pytest
from customenhancer.drawing.captions import caption_height
from customenhancer.drawing.contact_sheet import GAP
from customenhancer.drawing.plots import SIZE
from helpers.host_client import PromptError
from helpers.prompts import guider_calls, inversion_prompt, node
from PIL import Image

SIDE, PEOPLE = 128, 3


def triple_flow_prompt(steps, seed, **nodes):
    """A scene of the tiny SDXL, inverted, and sampled back with a forward flow. nodes: further ones, `flow` among them.

    seed: one of each test's own, so that the host has nothing of it from an earlier prompt.
    """
    prompt = {**inversion_prompt(steps, size=SIDE), **nodes}
    prompt["noise"]["inputs"]["noise_seed"] = seed
    prompt["sampled"]["inputs"]["guider"] = ["flow", 0]
    prompt["scene"] = node("VAEDecode", samples=["picture", 0], vae=["model", 2])
    prompt["result"] = node("VAEDecode", samples=["sampled", 0], vae=["model", 2])
    prompt["show_scene"] = node("PreviewImage", images=["scene", 0])
    return prompt


def sweep_prompt(steps, seed, values):
    """The starting step swept, with another text as the forward flow, judged by likeness to the scene itself."""
    return triple_flow_prompt(
        steps,
        seed,
        sweep=node("CE_SweepValues", values=values),
        person=node("CLIPTextEncode", clip=["model", 1], text="the person"),
        forward=node("CFGGuider", model=["model", 0], positive=["person", 0], negative=["negative", 0], cfg=5.0),
        flow=node(
            "CE_TripleFlowGuider", pivot_flow=["guider", 0], forward_flow=["forward", 0], start_step=["sweep", 1]
        ),
        analysis=node("CE_FaceAnalysisLoader", pack="buffalo_l", provider="CPU"),
        similarity=node(
            "CE_IdentitySimilarity", image=["result", 0], reference=["scene", 0], face_analysis=["analysis", 0]
        ),
        sheet=node("CE_ContactSheet", images=["result", 0], labels=["sweep", 2], columns=2),
        plot=node("CE_SimilarityPlot", values=["sweep", 0], similarities=["similarity", 0]),
    )


def identities_prompt(host, steps, seed):
    """One scene with several people: a list of reference pictures to PhotoMaker, whose pivot flow has but one."""
    people = {}
    for number in range(PEOPLE):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        name = host.upload(f"person_{number}.png", Image.fromarray(pixels))
        people[f"person_{number}"] = node("LoadImage", image=name)

    def photomaker(reference):
        return node(
            "CE_PhotoMakerForwardFlow",
            **{"model": ["model", 0], "clip": ["model", 1], "photomaker": ["photomaker", 0]},
            **{"reference_images": reference, "text": "a photo of a man img in a library"},
        )

    def guider(source, output):
        return node("CFGGuider", model=[source, 0], positive=[source, output], negative=["negative", 0], cfg=5.0)

    return triple_flow_prompt(
        steps,
        seed,
        **people,
        two=node("ImageBatch", image1=["person_0", 0], image2=["person_1", 0]),
        three=node("ImageBatch", image1=["two", 0], image2=["person_2", 0]),
        people=node("RebatchImages", images=["three", 0], batch_size=1),
        photomaker=node("CE_PhotoMakerLoader", photomaker_name="tiny_photomaker_v1.safetensors"),
        free=photomaker(["person_0", 0]),
        identity=photomaker(["people", 0]),
        guider=guider("free", 2),
        forward=guider("identity", 1),
        flow=node("CE_TripleFlowGuider", pivot_flow=["guider", 0], forward_flow=["forward", 0], start_step=steps // 5),
        sheet=node("CE_ContactSheet", images=["result", 0]),
    )


def shown(host, run, name) -> np.ndarray:
    (image,) = run.outputs[name]["images"]
    return np.asarray(host.picture(image), int)


def differences(run):
    return [float(text) for text in run.outputs["difference"]["text"]]


@pytest.fixture(scope="module")
def sweep(host):
    """Three starting steps, the last of which is never reached."""
    return host.run(sweep_prompt(6, seed=31, values="0:6:3"))


class TestSweepOverTheStartingStep:
    def test_the_inversion_runs_once_and_the_sampling_once_for_each_value(self, host, sweep):
        assert guider_calls(host, sweep) == {"picture": 6, "inversion": 7, "sampled": 3 * 6}
        early, late, never = differences(sweep)
        assert never <= 1e-5 and min(early, late) > 0.01 and early != late

    def test_one_sheet_holds_the_three_pictures_in_their_order(self, host, sweep):
        sheet, row = shown(host, sweep, "sheet"), caption_height(SIDE) + SIDE + GAP
        assert sheet.shape == (2 * row + GAP, 2 * (SIDE + GAP) + GAP, 3)
        tops, lefts = (0, 0, row), (GAP, GAP + SIDE + GAP, GAP)
        pictures = [
            sheet[top + row - SIDE : top + row, left : left + SIDE] for top, left in zip(tops, lefts, strict=True)
        ]
        away = [np.abs(picture - shown(host, sweep, "show_scene")).max() for picture in pictures]
        assert away[2] <= 1 < min(away[:2])  # of 255: the last one is the scene

    def test_one_plot_is_shown_and_the_similarity_of_each_value(self, host, sweep):
        assert shown(host, sweep, "plot").shape == (SIZE[1], SIZE[0], 3)
        lines = [text.split("\n")[0] for text in sweep.outputs["similarity"]["text"]]
        numbers = [float(line.removeprefix("similarity ").split(",")[0]) for line in lines]
        assert len(numbers) == 3 and numbers[2] == 1 and max(numbers[:2]) < 1
        assert len(sweep.outputs["similarity"]["images"]) == 3


@pytest.mark.parametrize("steps", [4, 50])
def test_several_identities_cost_one_inversion(host, steps, measured):
    """N + 1 guider calls to invert, and N for each of K identities: 51 + 50 K at 50 steps."""
    run = host.run(identities_prompt(host, steps, seed=40 + steps))
    counted = guider_calls(host, run)
    measured(f"guider calls, {PEOPLE} identities on one inversion, {steps} steps", sum(counted.values()) - steps)
    assert counted == {"picture": steps, "inversion": steps + 1, "sampled": PEOPLE * steps}
    assert len(set(differences(run))) == PEOPLE and min(differences(run)) > 0.01


class TestBadInput:
    def refused(self, host, prompt) -> str:
        with pytest.raises(PromptError) as caught:
            host.run(prompt)
        return str(caught.value)

    def test_values_that_cannot_be_read_are_refused_before_anything_runs(self, host):
        assert "values: 'ten' in '0:ten:5' is not a usable number" in self.refused(host, sweep_prompt(2, 51, "0:ten:5"))

    def test_a_fraction_is_refused_where_a_whole_number_is_needed(self, host):
        assert "values: 2.5 is not a whole number" in self.refused(host, sweep_prompt(2, 52, "0, 2.5"))

    def test_a_plot_of_two_sweeps_is_refused(self, host):
        prompt = sweep_prompt(2, 53, "0, 1")
        prompt["other"] = node("CE_SweepValues", values="0, 1, 2")
        prompt["plot"]["inputs"]["values"] = ["other", 0]
        assert "similarities: 2 for 3 in values" in self.refused(host, prompt)

"""The pack in a real server, over its HTTP API, on the tiny stand-in models."""

import demo
import numpy as np
import pytest
import skimage.data
from helpers.host_client import Host, PromptError, find
from helpers.prompts import difference, inversion_prompt, node
from helpers.real_server import start_server
from PIL import Image

NODES = [
    "CE_DDIMInversion",
    "CE_ResInversion",
    "CE_RecordResidualNoise",
    "CE_ReNoiseInversion",
    "CE_NullTextInversion",
    "CE_NoisePivot",
    "CE_RecordTrajectory",
    "CE_ShiftPivot",
    "CE_SaveResidualNoise",
    "CE_LoadResidualNoise",
    "CE_SavePivot",
    "CE_LoadPivot",
    "CE_InversionReport",
    "CE_PivotPreview",
    "CE_TripleFlowGuider",
    "CE_BiMDSampler",
    "CE_TripleFlowSample",
    "CE_FlowInspector",
    "CE_FaceAnalysisLoader",
    "CE_FaceSwapperLoader",
    "CE_FaceSwap",
    "CE_FaceKeypoints",
    "CE_PhotoMakerLoader",
    "CE_PhotoMakerForwardFlow",
    "CE_InstantIDLoader",
    "CE_InstantIDForwardFlow",
    "CE_IdentitySimilarity",
    "CE_PictureScores",
    "CE_SweepValues",
    "CE_ContactSheet",
    "CE_SimilarityPlot",
]


def test_every_node_is_there_and_tells_what_it_does(host):
    info = host.get_json("/object_info")
    for name in NODES:
        declared = info[name]
        assert declared["category"].startswith("CustomEnhancer/") and declared["description"], name
        assert declared["display_name"] != name and declared["python_module"].endswith("ComfyUI-CustomEnhancer")
        assert all(declared["output_tooltips"]), name
        for group in ("required", "optional"):  # what is hidden the host fills in
            for input_name, (_, *options) in declared["input"].get(group, {}).items():
                assert options and options[0].get("tooltip"), f"{name}.{input_name} has no tooltip"


def test_inputs_with_a_default_are_optional(host):
    info = host.get_json("/object_info")
    for name in NODES:
        for input_name, (_, *options) in info[name]["input"].get("required", {}).items():
            assert "default" not in (options or [{}])[0], f"{name}.{input_name} is required and has a default"


def test_node_help_is_served(host):
    for name in NODES:
        page = host.get(f"/extensions/ComfyUI-CustomEnhancer/docs/{name}.md").decode()
        assert page.startswith("# "), name


@pytest.fixture(scope="module", params=demo.FLOWS)
def result(host, request):
    return demo.run_demo(host, request.param, size=128)


class TestPipeline:
    """Each shipped workflow, as the demo runs it."""

    def test_it_takes_151_guider_calls(self, result, measured):
        calls = result[1]["guider_calls"]
        measured(f"guider calls of the pipeline, {result[1]['flow']}", sum(calls.values()))
        assert calls == {"scene": 50, "inversion": 51, "bimd": 50}
        assert sum(calls.values()) == 151

    def test_the_forward_flow_off_gives_the_picture_back(self, result, measured):
        error = result[1]["reconstruction_max_abs_error"]
        measured(f"reconstruction error, tiny SDXL, CFG 5, 50 steps, the whole pipeline, {result[1]['flow']}", error)
        assert error <= 1e-5

    def test_each_part_does_its_share(self, result):
        """The swap changes a face's share of the scene; the identity flow moves the reconstruction on."""
        pictures = {name: np.asarray(picture, float) for name, picture in result[0].items()}
        swapped = np.abs(pictures["swapped"] - pictures["scene"]).max(-1) > 2
        assert 0.005 < swapped.mean() < 0.5
        assert np.abs(pictures["final"] - pictures["reconstruction"]).mean() > 1
        assert np.abs(pictures["final"] - pictures["personalised"]).mean() > 1

    def test_the_report_says_what_ran(self, result):
        report = result[1]
        assert report["steps"] == 50 and report["versions"]["comfyui"] and report["seconds"]["bimd"] > 0

    def test_the_contact_sheet_holds_every_picture(self, result):
        sheet = demo.contact_sheet(result[0])
        assert sheet.width > 3 * 384 and sheet.height > 2 * 384


@pytest.mark.parametrize("scheduler", ["karras", "sgm_uniform", "normal"])
@pytest.mark.parametrize("steps", [4, 8, 20])
def test_the_tiny_sdxl_is_inverted_exactly(host, scheduler, steps, measured):
    """Batch 3, CFG 5; inputs with a default are left out, as API users may."""
    run = host.run(inversion_prompt(steps, scheduler, batch=3, size=128))
    measured(f"reconstruction error, tiny SDXL, CFG 5, batch 3, {scheduler}, {steps} steps", difference(run))
    assert difference(run) <= 1e-5
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    assert counts["inversion"]["guider_calls"] == steps + 1 and counts["sampled"]["guider_calls"] == steps


def test_queueing_again_gives_the_same_to_the_last_bit(host):
    """Nothing is left behind in the model, the conditioning or a generator."""
    prompt = inversion_prompt()
    prompt["other"] = node("CE_TripleFlowGuider", pivot_flow=["guider", 0], forward_flow=["personal", 0], start_step=2)
    prompt["personal"] = node(
        "CFGGuider", model=["model", 0], positive=["negative", 0], negative=["positive", 0], cfg=5.0
    )
    prompt["sampled"]["inputs"]["guider"] = ["other", 0]
    first = difference(host.run(prompt))
    prompt["bimd"]["inputs"]["backward_scale"] = 0.5
    assert difference(host.run(prompt)) != first
    prompt["bimd"]["inputs"]["backward_scale"] = 1.0
    prompt["inversion"]["inputs"]["evaluate_at"] = "current"  # the default, said aloud: the host runs it again
    assert difference(host.run(prompt)) == first


def test_null_text_beats_ddim_inversion_and_renoise_is_walked_back_exactly(host):
    """On weights as the host loads them; inputs with a default are left out but for the number of inner steps."""
    prompt = inversion_prompt(steps=4, cfg=7.5)
    picture = {"sigmas": ["sigmas", 0], "latent_image": ["picture", 0]}
    prompt["ddim"] = node("CE_DDIMInversion", guider=["guider", 0], **picture)
    prompt["null_text"] = node(
        "CE_NullTextInversion",
        **{"model": ["model", 0], "positive": ["positive", 0], "negative": ["negative", 0]},
        **picture,
        inner_steps=4,
    )
    errors = {}
    for name, flow in (("ddim", ["guider", 0]), ("null_text", ["null_text", 0])):
        prompt["sampled"]["inputs"].update(guider=flow, sampler=["euler", 0], latent_image=[name, 1])
        run = host.run(prompt)
        errors[name] = difference(run)
    assert errors["null_text"] < errors["ddim"]
    assert (
        "16 inner steps taken, of 16 at most: 28 forward passes, 16 backward passes"
        in run.outputs["null_text"]["text"][0]
    )
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    assert counts["null_text"]["model_forwards"] == 28

    prompt["renoise"] = node("CE_ReNoiseInversion", guider=["guider", 0], **picture)
    prompt["recorded"] = node("CE_RecordResidualNoise", guider=["guider", 0], pivot=["renoise", 0])
    prompt["bimd"]["inputs"]["residual_noise"] = ["recorded", 0]
    prompt["sampled"]["inputs"].update(guider=["guider", 0], sampler=["bimd", 0], latent_image=["renoise", 1])
    assert difference(host.run(prompt)) <= 1e-5


def test_the_report_shows_a_plot_and_the_numbers(host):
    """It samples twice: with the residual noise, and without for comparison."""
    prompt = inversion_prompt(steps=8)
    prompt["report"] = node("CE_InversionReport", residual_noise=["inversion", 0], guider=["guider", 0])
    prompt["same"] = node("TestLatentDifference", a=["picture", 0], b=["report", 0])
    run = host.run(prompt)
    assert float(run.outputs["same"]["text"][0]) <= 1e-5
    (plot,) = run.outputs["report"]["images"]
    assert host.picture(plot).size == (768, 512)
    assert run.outputs["report"]["text"][0].count("8 guider calls in") == 2
    counts = host.get_json("/customenhancer_test/counts", prompt_id=run.prompt_id)
    assert counts["report"]["guider_calls"] == 16


class TestBadInput:
    """Each is refused with an error that names the input, and the next prompt runs."""

    def refused(self, host, prompt) -> str:
        with pytest.raises(PromptError) as caught:
            host.run(prompt)
        assert difference(host.run(inversion_prompt(steps=2))) <= 1e-5
        return str(caught.value)

    def test_other_sigmas_than_the_recorded_are_refused(self, host):
        prompt = inversion_prompt()
        prompt["others"] = node("BasicScheduler", model=["model", 0], scheduler="karras", steps=8, denoise=1.0)
        prompt["sampled"]["inputs"]["sigmas"] = ["others", 0]
        assert "sigmas: not the schedule that residual_noise was recorded on" in self.refused(host, prompt)

    def test_a_latent_of_another_size_is_refused(self, host):
        prompt = inversion_prompt()
        prompt["other"] = node("EmptyLatentImage", width=128, height=256, batch_size=1)
        prompt["sampled"]["inputs"]["latent_image"] = ["other", 0]
        assert "latent_image: its shape" in self.refused(host, prompt)

    def test_flipped_sigmas_are_refused(self, host):
        prompt = inversion_prompt()
        prompt["flipped"] = node("FlipSigmas", sigmas=["sigmas", 0])
        prompt["inversion"]["inputs"]["sigmas"] = ["flipped", 0]
        assert "sigmas: must descend" in self.refused(host, prompt)

    def test_an_empty_schedule_is_refused(self, host):
        prompt = inversion_prompt()
        prompt["sigmas"]["inputs"]["denoise"] = 0.0
        assert "sigmas: 0 values make no step" in self.refused(host, prompt)

    def test_a_stochastic_sampler_from_an_inverted_latent_is_refused(self, host):
        prompt = inversion_prompt()
        prompt["triple"] = node("CE_TripleFlowGuider", pivot_flow=["guider", 0], forward_flow=["guider", 0])
        prompt["ancestral"] = node("KSamplerSelect", sampler_name="euler_ancestral")
        prompt["sampled"]["inputs"].update(guider=["triple", 0], sampler=["ancestral", 0])
        assert "sampler: sample_euler_ancestral is stochastic" in self.refused(host, prompt)

    def face_prompt(self, host, picture):
        prompt = inversion_prompt()
        prompt["picture_file"] = node("LoadImage", image=host.upload("target.png", picture))
        person = Image.fromarray(skimage.data.astronaut())
        prompt["person_file"] = node("LoadImage", image=host.upload("person.png", person))
        prompt["faces"] = node("CE_FaceAnalysisLoader", pack="buffalo_l")
        prompt["swapper"] = node("CE_FaceSwapperLoader", model_name="inswapper_128.onnx")
        prompt["swap"] = node(
            "CE_FaceSwap",
            **{"image": ["picture_file", 0], "reference": ["person_file", 0]},
            **{"face_analysis": ["faces", 0], "face_swapper": ["swapper", 0]},
        )
        prompt["show"] = node("PreviewImage", images=["swap", 0])
        return prompt

    def test_a_picture_without_a_face_is_refused_or_passed_through(self, host):
        prompt = self.face_prompt(host, Image.new("RGB", (256, 256)))
        assert "image: no face found in picture 0" in self.refused(host, prompt)
        prompt["swap"]["inputs"]["no_face"] = "pass_through"
        shown = host.run(prompt).outputs["show"]["images"][0]
        assert not np.asarray(host.picture(shown)).any()
        prompt["swap"]["inputs"].update(image=["person_file", 0], reference=["picture_file", 0])
        assert "reference: no face found" in self.refused(host, prompt)
        prompt["swap"]["inputs"].update(reference=["person_file", 0], target_faces="3", no_face="error")
        assert "target_faces: index 3 is out of range" in self.refused(host, prompt)

    def photomaker_prompt(self, host, text):
        prompt = demo.load_workflow(demo.FLOWS["photomaker-v1"], real_models=False)
        prompt[find(prompt, "LoadImage")]["inputs"]["image"] = host.upload(
            "grey.png", Image.new("RGB", (64, 64), "grey")
        )
        prompt[find(prompt, "CE_PhotoMakerForwardFlow")]["inputs"]["text"] = text
        return prompt

    def flow_prompt(self, host, flow, pack=None):
        """A shipped workflow of two steps, with one face pack for everything if any is named."""
        prompt = demo.load_workflow(demo.FLOWS[flow], real_models=False)
        picture = Image.fromarray(skimage.data.astronaut())
        prompt[find(prompt, "LoadImage")]["inputs"]["image"] = host.upload("astronaut.png", picture)
        prompt[find(prompt, "BasicScheduler")]["inputs"]["steps"] = 2
        for loader in prompt.values():
            if pack and loader["class_type"] == "CE_FaceAnalysisLoader":
                loader["inputs"]["pack"] = pack
        return prompt

    def test_photomaker_v2_without_a_face_analysis_is_refused(self, host):
        prompt = self.flow_prompt(host, "photomaker-v2", "buffalo_l")
        del prompt[find(prompt, "CE_PhotoMakerForwardFlow")]["inputs"]["face_analysis"]
        assert "face_analysis: PhotoMaker V2 reads the face with one" in self.refused(host, prompt)

    def test_the_face_pack_of_another_method_is_refused(self, host):
        prompt = self.flow_prompt(host, "photomaker-v2", "antelopev2")
        assert "PhotoMaker V2 was trained with w600k_r50.onnx" in self.refused(host, prompt)
        prompt = self.flow_prompt(host, "instantid", "buffalo_l")
        assert "InstantID was trained with glintr100.onnx" in self.refused(host, prompt)

    def test_an_instantid_file_that_is_not_there_is_refused(self, host):
        prompt = self.flow_prompt(host, "instantid")
        loader = prompt[find(prompt, "CE_InstantIDLoader")]["inputs"]
        loader["instantid_name"] = "gone.bin"
        said = self.refused(host, prompt)
        assert "instantid_name: gone.bin is not in" in said and "InstantX/InstantID" in said

    def test_a_model_file_that_is_not_there_is_refused(self, host):
        prompt = self.photomaker_prompt(host, "a photo of a man img")
        prompt[find(prompt, "CE_PhotoMakerLoader")]["inputs"]["photomaker_name"] = "photomaker-v1.bin"
        said = self.refused(host, prompt)
        assert "photomaker_name: photomaker-v1.bin is not in" in said and "TencentARC/PhotoMaker" in said

    @pytest.mark.parametrize("text", ["a photo of a man", "a photo of a man img with an img", "img of a man"])
    def test_a_prompt_without_exactly_one_trigger_word_after_a_class_word_is_refused(self, host, text):
        assert "text:" in self.refused(host, self.photomaker_prompt(host, text))


def test_without_insightface_and_onnxruntime_the_rest_of_the_pack_loads(tmp_path):
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (missing / "prestartup_script.py").write_text(
        "import sys\nsys.modules['insightface'] = sys.modules['onnxruntime'] = None\n"
    )
    with start_server(tmp_path / "base", without_face_packages=missing) as server:
        host = Host(server.url)
        assert set(NODES) <= set(host.get_json("/object_info"))
        prompt = inversion_prompt(steps=2)
        assert difference(host.run(prompt)) <= 1e-5
        prompt = TestBadInput().face_prompt(host, Image.new("RGB", (64, 64)))
        with pytest.raises(PromptError, match="insightface"):
            host.run(prompt)

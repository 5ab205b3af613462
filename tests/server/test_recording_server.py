"""Pivots without an inversion, batched recording and saved recordings in a real server, on the tiny SDXL."""

import copy
import math
import urllib.request

import pytest
from helpers.host_client import PromptError
from helpers.prompts import difference, guider_calls, inversion_prompt, node

STEPS = 8


def pivot_prompt(source, steps_per_call=1, **nodes):
    """The tiny SDXL's picture, sampled back along a pivot. source: the output that gives it. nodes: what makes it."""
    prompt = {**inversion_prompt(STEPS, batch=2, size=128), **nodes}
    prompt["inversion"] = node(
        "CE_RecordResidualNoise", guider=["guider", 0], pivot=source, steps_per_call=steps_per_call
    )
    prompt["sampled"]["inputs"]["latent_image"] = ["picture", 0]
    return prompt


def noise_pivot(**inputs):
    return node("CE_NoisePivot", model=["model", 0], sigmas=["sigmas", 0], latent_image=["picture", 0], **inputs)


@pytest.mark.parametrize("steps_per_call", [1, 3, 8])
def test_a_noise_pivot_is_walked_back(host, steps_per_call, measured):
    """Several steps in a batch are summed in another order than one, so to rounding and no better."""
    run = host.run(pivot_prompt(["pivot", 0], steps_per_call, pivot=noise_pivot(noise_seed=steps_per_call)))
    measured(f"reconstruction error, tiny SDXL, noise pivot, {steps_per_call} steps a call", difference(run))
    assert difference(run) <= (1e-5 if steps_per_call == 1 else 1e-3)
    assert guider_calls(host, run)["inversion"] == math.ceil(STEPS / steps_per_call)


def test_a_scenes_own_trajectory_is_walked_to_an_edit_of_it(host, measured):
    """The edit is the scene mirrored. No guider call beside those of the scene, one to record, and the sampling."""
    prompt = pivot_prompt(
        ["pivot", 0],
        edited=node("LatentFlip", samples=["picture", 0], flip_method="y-axis: horizontally"),
        pivot=node("CE_ShiftPivot", model=["model", 0], pivot=["picture", 1], latent_image=["edited", 0]),
    )
    prompt["picture"]["class_type"] = "CE_RecordTrajectory"
    prompt["sampled"]["inputs"]["latent_image"] = ["pivot", 1]
    prompt["difference"]["inputs"]["a"] = ["edited", 0]
    prompt["stock"] = {**prompt["picture"], "class_type": "SamplerCustomAdvanced"}
    prompt["same"] = node("TestLatentDifference", a=["picture", 0], b=["stock", 0])
    run = host.run(prompt)
    measured("reconstruction error, tiny SDXL, shifted trajectory", difference(run))
    assert difference(run) <= 1e-5
    assert float(run.outputs["same"]["text"][0]) == 0
    counted = guider_calls(host, run)
    counted.pop("stock", None)  # the host may have it from an earlier prompt
    assert counted == {"picture": STEPS, "inversion": STEPS, "sampled": STEPS}


def saved_name(run, node_id):
    (file,) = run.outputs[node_id]["recordings"]
    return f"{file['subfolder']}/{file['filename']} [{file['type']}]"


def test_a_recording_saved_in_one_prompt_samples_in_the_next(host):
    """Both a residual noise and a pivot; the file that is loaded was not there when the server listed its files."""
    prompt = pivot_prompt(["pivot", 0], pivot=noise_pivot())
    prompt["save"] = node("CE_SaveResidualNoise", residual_noise=["inversion", 0])
    prompt["save_pivot"] = node("CE_SavePivot", pivot=["pivot", 0], filename_prefix="pivots/scene")
    first = host.run(prompt)
    name, pivot_name = saved_name(first, "save"), saved_name(first, "save_pivot")

    later = pivot_prompt(["load_pivot", 0], load_pivot=node("CE_LoadPivot", pivot_name=pivot_name))
    later["load"] = node("CE_LoadResidualNoise", residual_noise_name=name)
    later["bimd_loaded"] = node("CE_BiMDSampler", residual_noise=["load", 0])
    later["sampled_loaded"] = copy.deepcopy(later["sampled"])
    later["sampled_loaded"]["inputs"].update(sampler=["bimd_loaded", 0], latent_image=["load", 1])
    later["sampled"]["inputs"]["latent_image"] = ["load_pivot", 1]
    later["same"] = node("TestLatentDifference", a=["sampled", 0], b=["sampled_loaded", 0])
    run = host.run(later)
    assert difference(run) <= 1e-5 and float(run.outputs["same"]["text"][0]) == 0
    declared = host.get_json("/object_info/CE_LoadResidualNoise")["CE_LoadResidualNoise"]["input"]["required"]
    assert {name, pivot_name} <= set(declared["residual_noise_name"][1]["options"])


def test_a_file_is_downloaded_uploaded_and_loaded(host):
    prompt = pivot_prompt(["pivot", 0], pivot=noise_pivot(noise_seed=5))
    prompt["save"] = node("CE_SavePivot", pivot=["pivot", 0])
    (file,) = host.run(prompt).outputs["save"]["recordings"]
    body = host.get("/view", **file)
    name = "uploaded.inversion.safetensors"
    head = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    request = urllib.request.Request(
        f"{host.url}/upload/image",
        head.encode() + body + b"\r\n--b--\r\n",
        {"Content-Type": "multipart/form-data; boundary=b"},
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()
    run = host.run(pivot_prompt(["load", 0], load=node("CE_LoadPivot", pivot_name=name)))
    assert difference(run) <= 1e-5


class TestBadInput:
    """Each is refused with an error that names the input."""

    def refused(self, host, prompt) -> str:
        with pytest.raises(PromptError) as caught:
            host.run(prompt)
        return str(caught.value)

    def test_a_file_that_is_not_there_is_refused(self, host):
        prompt = pivot_prompt(["load", 0], load=node("CE_LoadPivot", pivot_name="gone.inversion.safetensors"))
        assert "pivot_name: gone.inversion.safetensors is not there" in self.refused(host, prompt)

    def test_a_prefix_outside_the_output_folder_is_refused(self, host):
        prompt = pivot_prompt(["pivot", 0], pivot=noise_pivot())
        prompt["save"] = node("CE_SavePivot", pivot=["pivot", 0], filename_prefix="../../escaped")
        assert "filename_prefix: ../../escaped leads out of" in self.refused(host, prompt)

    def test_a_sampler_that_leaves_the_schedule_is_refused(self, host):
        prompt = pivot_prompt(["picture", 1])
        prompt["picture"]["class_type"] = "CE_RecordTrajectory"
        prompt["euler"]["inputs"]["sampler_name"] = "dpm_adaptive"
        assert "sampler: left out" in self.refused(host, prompt)

    def test_conditioning_that_changes_within_a_call_is_refused(self, host):
        prompt = pivot_prompt(["pivot", 0], 8, pivot=noise_pivot())
        prompt["early"] = node("ConditioningSetTimestepRange", conditioning=["positive", 0], start=0.0, end=0.5)
        prompt["half"] = {**prompt["guider"], "inputs": {**prompt["guider"]["inputs"], "positive": ["early", 0]}}
        prompt["inversion"]["inputs"]["guider"] = ["half", 0]
        assert "steps_per_call: the guider's conditioning or a ControlNet starts or ends" in self.refused(host, prompt)

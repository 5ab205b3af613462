"""The inversion benchmark: evaluations are the paper's, peers as published, tables and plots are written."""

import dataclasses
import json
import random
import sys
from pathlib import Path

import comfy.ops
import comfy.utils
import pytest
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.samplers import CFGGuider
from customenhancer.nodes.baselines import NullTextInversionNode
from helpers.lab import gaussian_subject
from helpers.paths import CHECKOUT, HOST
from standins.analytic import GaussianNetwork, gaussian_model
from support_pack.tiny_sdxl import register_tiny_sdxl

import dev
from benchmarks import claims, inversion, measuring, random_weights, subjects
from benchmarks.counting import Counts, counted
from benchmarks.memory import with_peak_memory
from benchmarks.methods import BASELINE, METHODS, NULL_TEXT, ddim, direct_inversion
from benchmarks.subjects import from_pocket_world, sample
from devtools.models import standins

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.mark.parametrize(
    ("method", "guider_calls", "forwards"),
    [
        ("DDIM inversion", 50, 100),
        ("DDIM inversion, at the target", 50, 100),
        ("Negative-prompt inversion", 50, 100),
        ("ResInversion", 51, 102),
        ("ResInversion, at the target", 100, 200),
        ("ReNoise, 1 iteration", 100, 200),
        ("ReNoise, 1 iteration, regularised", 150, 300),
        ("Noise pivot", 50, 100),
        ("Noise pivot, 10 steps a call", 5, 100),
        ("Trajectory pivot", 100, 200),
        ("Trajectory pivot, 10 steps a call", 55, 200),
        ("Direct Inversion", 100, 150),
        ("LEDITS++", 50, 100),
        ("LEDITS++, DDIM", 50, 100),
        ("FlipSigmas and euler", 50, 50),
    ],
)
def test_each_method_takes_its_evaluations_for_50_guided_steps(method, guider_calls, forwards):
    subject = gaussian_subject()
    counts, _ = measuring.cost(METHODS[method], subject, subject.sigmas(50), cfg=5.0)
    assert counts == Counts(guider_calls, forwards, backwards=0)


MIB = 1024, 256  # of float32


def held_then_freed():
    whole = torch.ones(MIB)
    view = whole.view(-1)[:1]
    del whole  # held by its view
    return torch.ones(MIB).add_(view)


def freed_one_after_the_other():
    for _ in range(5):
        torch.ones(MIB)


def kept_for_the_backward_pass():
    with torch.inference_mode(False):
        x = torch.ones(MIB, requires_grad=True)
        x.exp().sin().sum().backward()  # x and exp(x); the cosine of that, and its product


def seen_through_an_alias():
    storage = torch.ones(MIB).untyped_storage()
    for _ in range(5):
        torch.empty(0).set_(storage)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the allocator counts on CUDA, with all that was there before")
@pytest.mark.parametrize(
    ("run", "mib"),
    [
        (held_then_freed, 2),
        (freed_one_after_the_other, 1),
        (kept_for_the_backward_pass, 4),
        (seen_through_an_alias, 1),
    ],
)
def test_peak_memory_counts_only_what_is_held_at_the_same_time(run, mib):
    given = torch.ones(1000, 1000)  # there before: counts for nothing, nor do its views
    assert with_peak_memory(lambda: (given.t(), run()))[1] == pytest.approx(mib, abs=0.01)


def test_null_text_stays_within_the_originals_evaluations():
    subject = gaussian_subject()
    with counted(subject.model) as counts:
        inverted = METHODS[NULL_TEXT](subject, subject.sigmas(50), 7.5)
    taken = inverted.guider.null_text
    assert (counts.forwards, counts.backwards) == (taken.calls, taken.inner_steps)
    assert 0 < counts.backwards <= 500 and counts.forwards <= 700


def test_counting_leaves_guider_and_network_as_they_were():
    model = gaussian_model()
    forward, predict = GaussianNetwork.forward, CFGGuider.outer_predict_noise
    with pytest.raises(RuntimeError), counted(model):
        raise RuntimeError
    assert GaussianNetwork.forward is forward and CFGGuider.outer_predict_noise is predict


def test_forwards_and_backwards_are_counted_per_row_of_a_batch():
    model = gaussian_model()
    x = torch.ones(3, 4, 8, 8)
    with counted(model) as counts, torch.inference_mode(False):
        context = torch.ones(3, 1, 2, requires_grad=True)
        one = torch.ones(3)
        output = model.model.diffusion_model(x.clone(), one, context=context, sigma=one, transformer_options={})
        assert (counts.forwards, counts.backwards) == (3, 0)
        output.sum().backward()
    assert (counts.forwards, counts.backwards) == (3, 3)


def test_direct_inversion_equals_ddim_inversion_in_z_space_and_comes_back():
    """Its way is DDIM inversion's at the target sigma, in other coordinates, since either is unguided."""
    subject = gaussian_subject()
    sigmas = subject.sigmas(20)
    inverted = direct_inversion(subject, sigmas, 5.0)
    expected = ddim(subject, sigmas, 5.0, evaluate_at="target")
    torch.testing.assert_close(inverted.pivot, expected.pivot, rtol=1e-4, atol=1e-4)
    samples = sample(inverted.guider, inverted.sampler, sigmas, inverted.latent)["samples"]
    assert (samples - subject.latent["samples"]).abs().max() * 0.13025 <= 1e-3


def test_the_negative_prompt_row_equals_the_null_text_node_without_optimisation():
    subject = gaussian_subject()
    sigmas, texts = subject.sigmas(20), (subject.positive, subject.negative)
    row = METHODS["Negative-prompt inversion"](subject, sigmas, 5.0)
    guider, latent = NullTextInversionNode.execute(
        subject.model, *texts, sigmas, subject.latent, cfg=5.0, start_from="positive", inner_steps=0
    ).result
    ours = sample(guider, row.sampler, sigmas, latent)["samples"]
    theirs = sample(row.guider, row.sampler, sigmas, row.latent)["samples"]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_each_repeat_runs_every_method_once_in_random_order_and_ratios_are_within_a_repeat():
    turns = []
    runs = {name: lambda name=name: turns.append(name) for name in "abc"}
    seconds = measuring.in_turns(runs, 6, random.Random(0), "letters")
    repeats = [turns[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(repeat) == list("abc") for repeat in repeats) and len(set(map(tuple, repeats))) > 1
    assert all(len(measured) == 6 for measured in seconds.values())
    assert measuring.ratio([2.0, 30.0, 8.0], to=[1.0, 10.0, 2.0]) == 3.0


def test_a_line_is_fitted_exactly_and_a_curve_has_a_lower_r_squared():
    fit = claims.linear_fit([1, 2, 4], [5.0, 8.0, 14.0])
    assert [fit[part] for part in ("slope", "intercept", "r_squared")] == pytest.approx([3, 2, 1])
    assert claims.linear_fit([1, 2, 4, 8], [1.0, 4.0, 16.0, 64.0])["r_squared"] < 0.99


def test_psnr_of_a_uniform_error_of_a_tenth_is_20_decibels():
    assert measuring.psnr(torch.full((2, 3), 0.6), torch.full((2, 3), 0.5)) == pytest.approx(20, abs=1e-3)


def test_the_quick_run_writes_its_table_and_plots(tmp_path, monkeypatch):
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_ENABLED", False)  # the run switches it off; this switches it back
    models = standins(Path(sys.executable), HOST)
    inversion.main(["--models", str(models), "--quick", "--results", str(tmp_path), "--name", "quick"])
    results = json.loads((tmp_path / "quick.json").read_text())
    rows = {row["method"]: row for row in results["rows"]}
    assert list(rows) == list(METHODS)
    assert rows["ResInversion"]["guider_calls"] == 3 and rows["ResInversion"]["max_error"] <= 1e-5
    assert all(len(row["seconds"]) == 2 and len(row["step_errors"]) == 3 for row in rows.values())
    assert rows["DDIM inversion"]["ratio"] == 1
    said = {"model", "machine", "date", "python", "torch", "ComfyUI", "CustomEnhancer", "repeats"}
    assert said <= results["about"].keys()
    table = (tmp_path / "quick.md").read_text()
    assert all(f"| {method} |" in table for method in METHODS) and "R² = " in table
    numbers = table[table.index("## Numbers") :]
    assert "| ResInversion, max abs error, 2 steps, cfg 5 | at most 1e-5 | " in numbers
    assert "| BiMD / the host's euler, seconds, 2 steps | at most 1.03 | " in numbers
    assert "4 a call, speed-up" in numbers
    plots = sorted(file.name for file in tmp_path.glob("*.png"))
    assert plots == [f"quick-{what}.png" for what in ("cost", "error", "growth-batch", "growth-steps")]


TINY = {
    "model_channels": 32,
    "transformer_depth": [0, 0, 1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1],
}


def test_the_network_with_random_weights_has_as_many_parameters_as_sdxl():
    """As many numbers as a UNet of SDXL has, which its model card gives as 2.6 billion."""
    network = UNetModel(**random_weights.UNET, device="meta", operations=comfy.ops.disable_weight_init)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_567_463_684


@pytest.mark.parametrize("dtype", random_weights.DTYPES.values())
def test_a_network_with_random_weights_predicts_noise_of_common_size(monkeypatch, dtype):
    monkeypatch.setattr(random_weights, "UNET", {**random_weights.UNET, **TINY})
    subject = gaussian_subject()
    text = [[torch.randn(1, 77, 2048), {"pooled_output": torch.randn(1, 1280)}]]
    model = random_weights.random_sdxl(dtype, 64)
    subject = dataclasses.replace(subject, model=model, positive=text, negative=text)
    assert {parameter.dtype for parameter in model.model.diffusion_model.parameters()} == {dtype}
    sigmas = subject.sigmas(2)
    inverted = METHODS[BASELINE](subject, sigmas, 1.0)
    eps = inverted.pivot.diff(dim=0) / sigmas.flip(0).diff().reshape(-1, 1, 1, 1, 1)
    assert eps.isfinite().all() and 0.1 < eps.std() < 10


def test_too_little_memory_for_real_size_is_refused_with_both_numbers(monkeypatch, capsys):
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_ENABLED", False)
    monkeypatch.setattr(random_weights.comfy.model_management, "get_free_memory", lambda device: 3.5 * 2**30)
    models = standins(Path(sys.executable), HOST)
    with pytest.raises(SystemExit):
        inversion.main(["--models", str(models), "--quick", "--random-weights", "bf16"])
    error = capsys.readouterr().err
    assert "--random-weights: cpu has 3.5 GiB free, and the network takes" in error and ": 4.8 for its weights" in error


def test_random_weights_take_the_place_of_the_checkpoints(monkeypatch):
    monkeypatch.setattr(random_weights, "UNET", {**random_weights.UNET, **TINY})
    models = standins(Path(sys.executable), HOST)
    register_tiny_sdxl()
    parser, options = inversion.parse(["--models", str(models), "--size", "64", "--random-weights", "fp32"])
    model, name, subject = inversion.subject_of(parser, options)
    assert "random weights of SDXL's size in fp32" in model and name == "random-fp32"
    assert measuring.cost(METHODS["ResInversion"], subject, subject.sigmas(3), 5.0)[0].guider_calls == 4
    assert measuring.outcome(METHODS["ResInversion"], subject, subject.sigmas(3), 5.0)["max_error"] <= 1e-4
    assert inversion.parse(["--models", str(models), "--random-weights"])[1].size == 1024


def test_the_pocket_worlds_model_can_be_inverted():
    register_tiny_sdxl()
    subject = from_pocket_world()
    assert subject.latent["samples"].shape == (1, 4, 16, 16)
    assert measuring.cost(METHODS["ResInversion"], subject, subject.sigmas(3), 5.0)[0].guider_calls == 4
    assert measuring.outcome(METHODS["ResInversion"], subject, subject.sigmas(3), 5.0)["max_error"] <= 1e-4


def test_missing_weights_of_the_pocket_world_are_named_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "taesd.safetensors").touch()
    monkeypatch.setattr(subjects, "WEIGHTS", tmp_path / "weights")
    with pytest.raises(SystemExit):
        inversion.main(["--models", str(tmp_path), "--pocket"])
    assert "--pocket: lab/pocket/weights/ lacks unet.safetensors; lab/pocket/README.md" in capsys.readouterr().err


def test_without_a_models_folder_the_pocket_world_is_measured_too(monkeypatch, tmp_path):
    commands = []
    parts = {"python": "python", "comfyui": tmp_path, "models": tmp_path}
    monkeypatch.setattr(dev, "set_up", lambda models: parts)
    monkeypatch.setattr(dev, "run", lambda *command, **more: commands.append(command) or 0)
    dev.bench(None, "inversion", [])
    dev.bench(tmp_path, "inversion", [])
    assert ["--pocket" in command for command in commands] == [True, False]


def test_a_models_folder_without_a_checkpoint_is_refused_by_name(tmp_path, capsys):
    with pytest.raises(SystemExit):
        inversion.main(["--models", str(tmp_path)])
    assert f"{tmp_path / 'checkpoints'} has no safetensors file" in capsys.readouterr().err


def test_dev_passes_the_arguments_on_to_the_benchmark(monkeypatch, tmp_path):
    commands = []
    parts = {"python": "python", "comfyui": tmp_path, "models": tmp_path}
    monkeypatch.setattr(dev, "set_up", lambda models: parts)
    monkeypatch.setattr(dev, "run", lambda *command, **more: commands.append((command, more)) or 0)
    assert dev.bench(tmp_path, "inversion", ["--quick"]) == 0
    ((command, more),) = commands
    assert command[1:] == (CHECKOUT / "lab", "benchmarks.inversion", "--models", tmp_path, "--quick")
    assert more == {"COMFYUI_PATH": str(tmp_path)}

"""Values that are sound by themselves and do not belong together: another VAE's latents, another model's texts."""

import dataclasses

import comfy.latent_formats
import comfy.samplers
import pytest
import torch
from comfy.model_management import InterruptProcessingException
from comfy_extras.nodes_custom_sampler import RandomNoise
from customenhancer.host.recordings import ModelPivot
from customenhancer.nodes.baselines import NullTextInversionNode
from customenhancer.nodes.flows import TripleFlowGuiderNode, TripleFlowSampleNode
from customenhancer.nodes.inversion import DDIMInversionNode, RecordResidualNoiseNode, ResInversionNode
from customenhancer.nodes.pivots import NoisePivotNode, RecordTrajectoryNode
from customenhancer.nodes.seeing import InversionReportNode, PivotPreviewNode
from helpers.newer_host import DualModelGuider, needs_dual_model_guider
from helpers.sampling import bimd, invert, picture, sample, schedule, triple_flow
from standins.analytic import gaussian_model, guider
from standins.instantid_host import text
from standins.photomaker_host import sdxl_model

WRONG_LATENTS = [(1, 4, 2, 8, 8), (1, 16, 8, 8), (1, 4, 8), (2, 3, 8, 8)]


@pytest.fixture(scope="module")
def model():
    return gaussian_model()


@pytest.mark.parametrize("shape", WRONG_LATENTS, ids=str)
@pytest.mark.parametrize("node", [ResInversionNode, DDIMInversionNode, NoisePivotNode])
def test_latents_of_another_vae_are_refused(node, shape, model):
    first = model if node is NoisePivotNode else guider(model)
    with pytest.raises(ValueError, match=r"^latent_image: holds latents of shape .* works with \(B, 4, H, W\)") as said:
        node.execute(first, schedule(model, 4), {"samples": torch.ones(shape)})
    assert str(shape) in str(said.value) and "VAE of the model's own checkpoint" in str(said.value)


def test_an_empty_latent_gets_the_channels_that_the_model_needs(model):
    """As in the host: EmptyLatentImage makes 4 whatever the model."""
    noisy = ResInversionNode.execute(guider(model), schedule(model, 2), {"samples": torch.zeros(1, 16, 8, 8)}).result[1]
    assert noisy["samples"].shape == (1, 4, 8, 8)


def test_a_picture_passes_for_a_video_of_one_frame(model):
    """For a model of videos, and a latent of another number of channels still does not."""
    video = model.clone()
    video.add_object_patch("latent_format", comfy.latent_formats.Wan21())
    for shape in ((1, 16, 8, 8), (1, 16, 1, 8, 8)):
        pivot = NoisePivotNode.execute(video, schedule(model, 2), {"samples": torch.ones(shape)}).result[0]
        assert pivot.anchors.shape[1:] == (1, 16, 1, 8, 8)
    with pytest.raises(ValueError, match=r"^latent_image: .* works with \(B, 16, T, H, W\)"):
        NoisePivotNode.execute(video, schedule(model, 2), picture())


def misshapen(recording):
    """The recording with latents of 7 channels, as a hostile file may hold them."""
    latents = {
        name: torch.ones(len(tensor), 1, 7, 8, 8)
        for name, tensor in vars(recording).items()
        if name in ("anchors", "predictions")
    }
    return dataclasses.replace(recording, **latents)


@pytest.mark.parametrize("name", ["pivot", "residual_noise", "preview", "sample"])
def test_recordings_are_of_the_models_kind_and_shape(name, model):
    flow = guider(model)
    residual_noise, noisy = invert(flow, schedule(model, 2), picture())
    vae = type("Vae", (), {"decode": None, "encode": None})()
    node, arguments, named = {
        "pivot": (RecordResidualNoiseNode, {"guider": flow}, "pivot"),
        "residual_noise": (InversionReportNode, {"guider": flow}, "residual_noise"),
        "preview": (PivotPreviewNode, {"model": model, "vae": vae}, "pivot"),
        "sample": (
            TripleFlowSampleNode,
            {"pivot_flow": flow, "forward_flow": flow, "latent_image": noisy},
            "residual_noise",
        ),
    }[name]
    sound = residual_noise
    if name == "pivot":
        sound = ModelPivot(residual_noise.sigmas, residual_noise.anchors, residual_noise.model_kind)
    with pytest.raises(ValueError, match=rf"^{named}: holds latents of shape \(1, 7, 8, 8\)"):
        node.execute(**arguments, **{named: misshapen(sound)})
    other = dataclasses.replace(sound, model_kind="Flux, CONST prediction")
    with pytest.raises(ValueError, match=rf"^{named}: was recorded with a model of another kind \(Flux"):
        node.execute(**arguments, **{named: other})


class Vae:
    """A VAE that tells what it decodes, and must not be asked for more."""

    encode = None

    def __init__(self, channels, dimensions):
        self.latent_channels, self.latent_dim = channels, dimensions

    def decode(self, samples):
        raise AssertionError("it was asked")


@pytest.mark.parametrize("vae", [Vae(16, 2), Vae(4, 3)])
def test_a_vae_of_another_model_is_refused(vae, model):
    residual_noise, _ = invert(guider(model), schedule(model, 2), picture())
    with pytest.raises(ValueError, match=r"^vae: decodes latents of .* Connect the VAE of the model's own"):
        PivotPreviewNode.execute(residual_noise, model, vae)


def test_the_frames_of_a_video_are_shown_one_after_the_other(model, temporary_folder):
    vae = Vae(4, 2)
    vae.decode = lambda samples: torch.rand(len(samples), 3, 8, 8, 3)
    residual_noise, _ = invert(guider(model), schedule(model, 2), picture())
    assert PivotPreviewNode.execute(residual_noise, model, vae).result[0].shape == (6, 8, 8, 3)


class TestTexts:
    """Of another model's text encoders, or without the part that SDXL reads beside."""

    SAID = r"has a text embedding 768 wide, and the model reads 2048\. Connect CLIP Text Encode"

    def flow(self, model, positive, negative):
        flow = comfy.samplers.CFGGuider(model)
        flow.set_conds(positive, negative)
        return flow

    def test_a_guider_of_another_models_texts_is_refused(self):
        model, narrow = sdxl_model(), [[torch.zeros(1, 77, 768), {}]]
        with pytest.raises(ValueError, match=f"^guider: its negative {self.SAID}"):
            ResInversionNode.execute(self.flow(model, text(1), narrow), schedule(model, 2), picture())
        with pytest.raises(ValueError, match=f"^negative: {self.SAID}"):
            NullTextInversionNode.execute(model, text(1), narrow, schedule(model, 2), picture())

    def test_sdxl_without_pooled_text_is_refused(self):
        model = sdxl_model()
        bare = [[text(1)[0][0], {}]]
        with pytest.raises(ValueError, match="^guider: its negative has a text without the pooled embedding beside it"):
            ResInversionNode.execute(self.flow(model, text(1), bare), schedule(model, 2), picture())

    @needs_dual_model_guider
    def test_sdxl_without_any_text_is_refused(self):
        """As the host's Dual Model CFG Guider has it where its negative is not connected."""
        model = sdxl_model()
        flow = DualModelGuider.execute(model, text(1), 4.0).result[0]
        with pytest.raises(ValueError, match="^pivot_flow: its negative has no text, which SDXL needs"):
            TripleFlowGuiderNode.execute(flow, self.flow(model, text(1), text(2)))


@pytest.mark.parametrize("numbers", [[0], [0, 1, 2], "01", [-1, 0], [0.5, 1]], ids=str)
def test_numbers_that_are_not_the_pictures_are_refused(numbers, model):
    """The host would seed the noise by them."""
    noise, euler = RandomNoise.execute(1)[0], comfy.samplers.sampler_object("euler")
    latent = {**picture(batch=2), "batch_index": numbers}
    with pytest.raises(ValueError, match=r"^latent_image: its batch_index, .* does not number its 2 pictures"):
        RecordTrajectoryNode.execute(noise, guider(model), euler, schedule(model, 2), latent)
    RecordTrajectoryNode.execute(noise, guider(model), euler, schedule(model, 2), {**latent, "batch_index": [5, 9]})


def test_no_nan_leaves_the_sampling_along_a_recording(model):
    flow, overflowing = guider(model), guider(model, positive=(3e38, 1.0))
    residual_noise, noisy = invert(flow, schedule(model, 2), picture())
    with pytest.raises(ValueError, match=r"^pivot_flow and forward_flow: sampling came to NaN or Inf"):
        TripleFlowSampleNode.execute(flow, overflowing, residual_noise, noisy, start_step=0)


def test_no_nan_of_a_curve_leaves_the_sampling_and_the_curve_is_named(model):
    flow, narrow, steep = guider(model), guider(model, positive=(0.5, 0.1)), {"points": [[0, 1e6], [1, 1e6]]}
    residual_noise, noisy = invert(flow, schedule(model), picture())
    options = {"start_step": 0, "forward_curve": steep}
    with pytest.raises(ValueError, match=r"^pivot_flow and forward_flow: .*forward_scale, backward_scale or curve"):
        TripleFlowSampleNode.execute(flow, narrow, residual_noise, noisy, **options)
    nested = triple_flow(flow, narrow, **options)
    with pytest.raises(ValueError, match=r"^pivot_flow and forward_flow: sampling came"):
        TripleFlowSampleNode.execute(nested, flow, residual_noise, noisy, forward_scale=0.0)
    for sampler in (bimd(residual_noise), "euler"):
        with pytest.raises(ValueError, match=r"^guider: sampling came to NaN or Inf.*forward_scale, backward_scale or"):
            sample(triple_flow(flow, narrow, **options), sampler, schedule(model), noisy)


def test_no_nan_leaves_a_vae(model):
    vae = Vae(4, 2)
    vae.decode = lambda samples: torch.full((len(samples), 8, 8, 3), float("nan"))
    residual_noise, _ = invert(guider(model), schedule(model, 2), picture())
    with pytest.raises(ValueError, match=r"^vae: decoded NaN or Inf"):
        PivotPreviewNode.execute(residual_noise, model, vae)


def test_no_nan_leaves_a_triple_flow_guider_under_a_stock_sampler(model):
    overflowing = guider(model, positive=(3e38, 1.0))
    flow = triple_flow(guider(model), overflowing, start_step=0)
    with pytest.raises(ValueError, match=r"^guider: sampling came to NaN or Inf"):
        sample(flow, "euler", schedule(model, 2), picture())


def test_no_inf_is_recorded(model):
    with pytest.raises(ValueError, match=r"^latent_image: its numbers are too large for this schedule"):
        NoisePivotNode.execute(model, torch.tensor([3e38, 1.0, 0.0]), {"samples": torch.full((1, 4, 8, 8), 3e38)})


class Unfit(comfy.samplers.CFGGuider):
    """A guider whose parts do not fit together."""

    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    def predict_noise(self, *args, **kwargs):
        raise self.error


class TestAGuiderThatFails:
    SAID = r"sampling failed inside \(RuntimeError: mat1 and mat2"

    def unfit(self, model, **attributes):
        flow = guider(model)
        flow.__class__ = type("Unfit", (Unfit,), attributes)
        return flow

    def test_it_is_named(self, model, temporary_folder):
        sound, unfit, sigmas = guider(model), self.unfit(model), schedule(model, 2)
        residual_noise, noisy = invert(sound, sigmas, picture())
        with pytest.raises(RuntimeError, match=f"^guider: {self.SAID}"):
            ResInversionNode.execute(unfit, sigmas, picture())
        with pytest.raises(RuntimeError, match=f"^guider: {self.SAID}"):
            InversionReportNode.execute(residual_noise, unfit)
        with pytest.raises(RuntimeError, match=f"^guider: {self.SAID}"):
            noise, euler = RandomNoise.execute(1)[0], comfy.samplers.sampler_object("euler")
            RecordTrajectoryNode.execute(noise, unfit, euler, sigmas, picture())
        with pytest.raises(RuntimeError, match=f"^pivot_flow and forward_flow: {self.SAID}"):
            TripleFlowSampleNode.execute(sound, unfit, residual_noise, noisy, start_step=0)

    @pytest.mark.parametrize(
        "error", [torch.OutOfMemoryError(), MemoryError(), InterruptProcessingException()], ids=type
    )
    def test_the_host_sees_memory_errors_and_interrupts_as_they_are(self, model, error):
        with pytest.raises(type(error)) as caught:
            ResInversionNode.execute(self.unfit(model, error=error), schedule(model, 2), picture())
        assert caught.value is error

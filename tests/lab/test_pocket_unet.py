"""The pocket world's text-to-image model: what is trained narrow is the same model in the stock loader's wide file."""

import comfy.sd
import pytest
import torch
from helpers.lab import PROMPT, shaken
from safetensors.torch import save_file
from support_pack.tiny_sdxl import register_tiny_sdxl

from pocket import checkpoint, sampling, text, train_scenes, train_unet, unet, vae

PROMPTS = ["", PROMPT, "a man in a library"]


@pytest.fixture(scope="module")
def model():
    """An untrained model in which no weight is 0, as the file keeps it."""
    torch.manual_seed(0)
    return shaken(unet.TextToImage(text.token_ids(PROMPTS).unique()), 1)


@pytest.fixture(scope="module")
def stock(model, tmp_path_factory):
    """MODEL and CLIP of the checkpoint, by the stock loader."""
    register_tiny_sdxl()
    file = tmp_path_factory.mktemp("checkpoints") / "pocket.safetensors"
    save_file(checkpoint.checkpoint_tensors(model.state_dict(), vae.VAE().file_weights()), file)
    return comfy.sd.load_checkpoint_guess_config(str(file))[:2]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_stock_text_encoders_give_the_same_context_and_pooled(model, stock, prompt):
    context, pooled = stock[1].encode_from_tokens(stock[1].tokenize(prompt), return_pooled=True)
    with torch.no_grad():
        own_context, own_pooled = model.text(text.token_ids([prompt]))
    wide = [context[..., start : start + text.WIDTH] for start in (0, text.FULL_WIDTHS["l"])]
    assert torch.allclose(torch.cat(wide, dim=-1), own_context, atol=2e-3)
    assert torch.allclose(pooled[..., : text.WIDTH], own_pooled, atol=2e-3)
    assert context.count_nonzero() == own_context.count_nonzero() and not pooled[..., text.WIDTH :].any()


def test_the_stock_model_predicts_the_same_noise(model, stock):
    patcher, clip = stock
    ids, timestep = text.token_ids(PROMPTS[1:2]), 300
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    context, pooled = clip.encode_from_tokens(clip.tokenize(PROMPTS[1]), return_pooled=True)
    adm = patcher.model.encode_adm(pooled_output=pooled, width=128, height=128)
    with torch.no_grad():
        network = patcher.model.diffusion_model.float()
        theirs = network(x, torch.tensor([float(timestep)]), context=context.float(), y=adm.float())
        ours = model(x, torch.tensor([float(timestep)]), ids)
    assert ours.std() > 0.1
    assert torch.allclose(theirs, ours, atol=5e-3)


def test_the_schedule_is_the_hosts(stock):
    sigmas = stock[0].get_model_object("model_sampling").sigmas
    signal = unet.alphas_bar()
    assert torch.allclose(((1 - signal) / signal).sqrt(), sigmas, rtol=1e-4)


def test_a_fresh_network_predicts_no_noise():
    fresh = unet.TextToImage(text.token_ids([""]).unique())
    assert not fresh(torch.randn(1, 4, 16, 16), torch.tensor([5.0]), text.token_ids([""])).any()


def test_errors_weigh_less_where_there_is_less_noise():
    weights = train_unet.noise_weights(unet.alphas_bar())
    assert (weights.diff() >= 0).all() and weights[-1] == 1
    snr = 1 / weights[0] * train_unet.SNR_LIMIT
    assert torch.isclose(snr, unet.alphas_bar()[0] / (1 - unet.alphas_bar()[0]))


class KnowsThePicture(torch.nn.Module):
    """Predicts the noise of one known latent exactly, under any prompt."""

    latent = torch.linspace(-1, 1, 16 * 16 * 4).reshape(1, 4, 16, 16)

    def forward(self, x, timesteps, ids):
        signal = unet.alphas_bar()[timesteps.long()][:, None, None, None]
        return (x - signal.sqrt() * self.latent) / (1 - signal).sqrt()


class ShowsLatents(torch.nn.Module):
    """A decoder that shows a latent's first three channels as they are."""

    def taesd_decoder(self, latents):
        return latents[:, :3] / 2 + 0.5


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_sampling_arrives_at_the_picture_that_the_model_knows(cfg):
    pictures = sampling.sample(KnowsThePicture(), ShowsLatents(), ["", "a man"], seed=3, steps=9, cfg=cfg)
    expected = ShowsLatents().taesd_decoder(KnowsThePicture.latent)[0].mul(255).round().byte().movedim(0, -1)
    assert pictures.shape == (2, 16, 16, 3)
    assert (pictures.int() - expected.int()).abs().max() <= 1


def test_the_scene_classifier_learns_from_pictures_that_are_softer_than_the_renderers():
    torch.manual_seed(0)
    checks = (torch.arange(128)[:, None] + torch.arange(128)).remainder(2).float().expand(64, 3, 128, 128)
    softened = train_scenes.softened(checks)
    contrast = softened.diff(dim=-1).abs().mean(dim=(1, 2, 3))
    assert 0.2 < (contrast < 0.5).float().mean() < 0.8
    assert train_scenes.SceneClassifier()(softened[:2]).shape == (2, 8)

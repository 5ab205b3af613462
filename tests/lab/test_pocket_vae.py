"""The pocket world's VAE is TAESD to a stock loader, and a training that was cut off goes on as if it had not been."""

import comfy.sd
import numpy as np
import pytest
import torch
from helpers.lab import training_options, training_that_stops_at
from safetensors.torch import load_file, save_file

from pocket import examples, train_vae, training, vae


@pytest.fixture
def model():
    torch.manual_seed(0)
    return vae.VAE()


def test_the_stock_loader_takes_the_file_and_gives_the_same_latents_and_pictures(model, tmp_path):
    save_file(model.file_weights(), tmp_path / "taesd.safetensors")
    weights = load_file(tmp_path / "taesd.safetensors")
    stock = comfy.sd.VAE(sd=dict(weights))
    stock.throw_exception_if_invalid()
    model.load_state_dict({key: value.float() for key, value in weights.items() if key.startswith("taesd_")})
    pictures = torch.rand(2, 64, 72, 3)
    latents = stock.encode(pictures)
    decoded, ours = model(pictures.movedim(-1, 1))
    assert torch.allclose(latents * vae.SDXL_SCALE, ours, atol=1e-4)
    assert torch.allclose(stock.decode(latents), decoded.clamp(0, 1).movedim(1, -1), atol=1e-4)


def trained(folder, *stops):
    """The weights after training a small layer up to each of `stops` steps in turn, each time from the checkpoint."""
    for stop in stops:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        run = training_that_stops_at(stop)("layer", layer, training_options(folder, 12, seed=5), 1e-2)
        run.run(lambda step, layer=layer: {"l2": (layer(torch.randn(8, 3)) - 1).square().mean()})
    return layer.weight


def test_a_resumed_training_gives_the_same_weights_as_an_uninterrupted_one(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = trained(whole, 12)
    assert torch.equal(trained(parts, 5, 9, 12), expected)
    assert not torch.equal(trained(tmp_path / "less", 11), expected)


def test_the_learning_rate_rises_then_falls_to_its_least():
    rates = [training.learning_rate(step, 2000, 1.0) for step in range(2001)]
    top = int(np.argmax(rates))
    assert top == training.WARM_UP - 1 and 0.95 < rates[top] <= 1
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert np.isclose(rates[-1], training.LEAST)


def test_every_second_crop_holds_the_middle_of_the_face():
    pictures = []
    for number in range(20):
        pixels, box = train_vae.pixels_and_face(*examples.example(number))
        marked = np.zeros_like(pixels)
        marked[int(box[1] + box[3]) // 2, int(box[0] + box[2]) // 2] = 255
        pictures.append((marked, box))
    found = train_vae.crops(pictures, np.random.default_rng(0))
    assert found.shape == (40, 3, train_vae.CROP, train_vae.CROP)
    assert (found[1::2].amax(dim=(1, 2, 3)) == 1).all()


def test_the_loss_is_least_for_the_picture_itself_and_counts_blur():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 3, 32, 32, generator=generator)
    latents = torch.randn(2, 4, 4, 4, generator=generator)
    same = train_vae.losses(pictures, pictures, latents)
    assert same["l1"] == same["l2"] == same["edges"] == 0
    blurred = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1)
    shifted = pictures + (blurred - pictures).square().mean().sqrt()  # as far off, with every edge in place
    assert (
        train_vae.losses(blurred, pictures, latents)["edges"]
        > 100 * train_vae.losses(shifted, pictures, latents)["edges"]
    )
    assert train_vae.losses(pictures, pictures, 3 * latents)["latent"] > same["latent"]

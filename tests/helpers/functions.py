"""Models as functions of (x, sigma), without a host around them: tensors in, the denoised estimate out."""

import torch
from comfy import model_sampling, samplers
from comfy.k_diffusion.sampling import get_sigmas_karras
from customenhancer.bimd import sample_bimd


class Counted:
    """A model that counts its calls."""

    def __init__(self, model):
        self.model = model
        self.calls = 0

    def __call__(self, x, sigma, **extra_args):
        self.calls += 1
        return self.model(x, sigma, **extra_args)


def one_prediction(model):
    """A model whose one prediction is both what sampling follows and what moves the pivot, for `res_inversion`."""

    def predict_both(x, sigma):
        denoised = model(x, sigma)
        return denoised, denoised

    return predict_both


def refuse(x, sigma):
    """A model that must not be asked."""
    raise AssertionError("a flow whose weight is zero was evaluated")


def gaussian_function(mean, std):
    """The exact denoiser of N(mean, std^2)."""

    def model(x, sigma):
        return (std**2 * x + sigma.reshape(-1, 1, 1, 1) ** 2 * mean) / (std**2 + sigma.reshape(-1, 1, 1, 1) ** 2)

    return model


def chaotic_function(seed, channels=4, gain=6.0):
    """A random predictor whose noise prediction swings through many periods of a sine as x moves by one unit."""
    weight = torch.randn(channels, channels, 3, 3, generator=torch.Generator().manual_seed(seed)) * gain

    def model(x, sigma):
        sigma = sigma.reshape(-1, 1, 1, 1)
        features = torch.nn.functional.conv2d(x / (sigma**2 + 1) ** 0.5, weight, padding=1)
        return x - sigma * (torch.sin(features + sigma) + torch.cos(3 * features))

    return model


def ascending_schedule(name, steps):
    """Ascending sigmas of one of the host's schedulers on SDXL's noise schedule, (steps + 1,)."""
    sampling = model_sampling.ModelSamplingDiscrete()
    return samplers.calculate_sigmas(sampling, name, steps).flip(0)


def descending_schedule(steps):
    """Sigmas from 15 to 0, (steps + 1,)."""
    return get_sigmas_karras(steps, 0.03, 15.0)


def model_picture(seed, batch=1, size=8):
    """A picture in the model's space, (batch, 4, size, size), of unit variance."""
    return torch.randn(batch, 4, size, size, generator=torch.Generator().manual_seed(seed))


def oblong_picture(seed=0, batch=2):
    """A picture in the model's space that is not square, (batch, 4, 6, 5): two axes mixed up would show."""
    return torch.randn(batch, 4, 6, 5, generator=torch.Generator().manual_seed(seed))


def sample_along(model, recorded, **options):
    """BiMD's way back along a recording. options: of sample_bimd."""
    return sample_bimd(model, recorded, **options)

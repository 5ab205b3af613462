"""Stand-in MODELs without a UNet, inside the host's own BaseModel: the exact denoiser of a Gaussian, and chaos."""

import itertools

import comfy.latent_formats
import comfy.model_base
import comfy.model_patcher
import comfy.samplers
import comfy.supported_models_base
import torch
from comfy.model_base import ModelType


class GaussianNetwork(torch.nn.Module):
    """The network whose denoised is the posterior mean of N(mean, std^2); the context (B, 1, 2) tells mean and std.

    `bias` is a weight that patches can change: it moves every mean.
    """

    dtype = torch.float32

    def __init__(self, prediction: ModelType):
        super().__init__()
        self.prediction = prediction
        self.bias = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, xc, t, context, sigma, transformer_options, **kwargs):
        """The model output that the host's calculate_denoised turns into the posterior mean. xc: (B, C, H, W)."""
        mean, std = (context[:, 0, n].reshape(-1, 1, 1, 1) for n in (0, 1))
        mean, s = mean + self.bias, sigma.reshape(-1, 1, 1, 1)
        if self.prediction is ModelType.FLOW:
            # x = (1 - s) x0 + s noise
            denoised = mean + (1 - s) * std**2 / ((1 - s) ** 2 * std**2 + s**2) * (xc - (1 - s) * mean)
            return (xc - denoised) / s
        x = xc * (s**2 + 1) ** 0.5
        denoised = (std**2 * x + s**2 * mean) / (std**2 + s**2)
        if self.prediction is ModelType.EPS:
            return (x - denoised) / s
        return (x / (s**2 + 1) - denoised) * (s**2 + 1) ** 0.5 / s


class ChaoticNetwork(torch.nn.Module):
    """A random network whose output swings through many periods of a sine as its input moves by one unit."""

    dtype = torch.float32

    def __init__(self, seed: int, channels: int = 4, gain: float = 6.0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(channels, channels, 3, 3, generator=generator) * gain, False)

    def forward(self, xc, t, context, sigma, transformer_options, **kwargs):
        """A noise prediction (B, C, H, W) that depends on input, sigma and context."""
        features = torch.nn.functional.conv2d(xc, self.weight, padding=1)
        shift = context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1) + sigma.reshape(-1, 1, 1, 1)
        return torch.sin(features + shift) + torch.cos(3 * features)


class StandInModel(comfy.model_base.BaseModel):
    """The host's BaseModel around one of the networks above, which see the exact sigma beside the timestep."""

    def __init__(self, network: torch.nn.Module, model_type: ModelType):
        config = comfy.supported_models_base.BASE({"disable_unet_model_creation": True})
        if model_type is not ModelType.FLOW:
            config.latent_format = comfy.latent_formats.SDXL()
        super().__init__(config, model_type)
        self.diffusion_model = network

    def _apply_model(self, x, t, *args, **kwargs):
        return super()._apply_model(x, t, *args, sigma=t, **kwargs)


def _patcher(network, model_type):
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(StandInModel(network, model_type), cpu, cpu)


def gaussian_model(prediction: ModelType = ModelType.EPS) -> comfy.model_patcher.ModelPatcher:
    """A MODEL that draws exactly from the Gaussian its conditioning names."""
    return _patcher(GaussianNetwork(prediction), prediction)


def chaotic_model(seed: int = 0, prediction: ModelType = ModelType.EPS) -> comfy.model_patcher.ModelPatcher:
    """A MODEL that amplifies every error."""
    return _patcher(ChaoticNetwork(seed), prediction)


def conditioning(mean: float, std: float, **options) -> list:
    """CONDITIONING that names a Gaussian; options are those of a cond, as control or hooks."""
    return [[torch.tensor([[[mean, std]]]), options]]


def guider(model, positive=(0.5, 0.8), negative=(0.0, 1.0), cfg: float = 5.0) -> comfy.samplers.CFGGuider:
    """The host's CFGGuider on two Gaussians, each (mean, std)."""
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(conditioning(*positive), conditioning(*negative))
    guider.set_cfg(cfg)
    return guider


def gaussian_ode(x: torch.Tensor, sigma_from: float, sigma_to: float, mean: float, std: float) -> torch.Tensor:
    """Closed form of the probability-flow ODE of N(mean, std^2) in x = x0 + sigma * noise, for any two sigmas."""
    return mean + (x - mean) * ((std**2 + sigma_to**2) / (std**2 + sigma_from**2)) ** 0.5


def gaussian_euler(x: torch.Tensor, sigmas, flows, flow_prediction: bool = False) -> torch.Tensor:
    """Euler steps along `sigmas` on a weighted sum of Gaussians' noise predictions, as one affine map in float64.

    flows: (weight, mean, std) each; guidance at cfg is the weights cfg and 1 - cfg. A Gaussian's noise prediction is
    (x - posterior mean) / s, at x = x0 + s * noise, or at x = (1 - s) * x0 + s * noise for `flow_prediction`.
    """
    factor, offset = 1.0, 0.0
    for sigma, after in itertools.pairwise(map(float, sigmas)):
        signal = 1 - sigma if flow_prediction else 1.0
        slope = intercept = 0.0
        for weight, mean, std in flows:
            gain = signal * std**2 / (signal**2 * std**2 + sigma**2)
            slope += weight * (1 - gain) / sigma
            intercept -= weight * mean * (1 - gain * signal) / sigma
        factor += (after - sigma) * slope * factor
        offset += (after - sigma) * (slope * offset + intercept)
    return (factor * x.double() + offset).to(x.dtype)

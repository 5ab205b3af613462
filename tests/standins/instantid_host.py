"""Small host objects that an InstantID test connects beside those of `photomaker_host`: ControlNets, conditionings."""

import comfy.cldm.cldm
import comfy.controlnet
import comfy.ops
import comfy.samplers
import torch
from standins.photomaker_host import SDXL_UNET, _randomise

CPU = torch.device("cpu")


def sdxl_control_net(seed: int = 0, **settings) -> comfy.controlnet.ControlNet:
    """A CONTROL_NET of the host's class: SDXL's whole ControlNet at model_channels 32, random where trained is zero.

    settings: of the network that shall be others than those of SDXL's ControlNet, such as context_dim.
    """
    config = {**SDXL_UNET, "hint_channels": 3, "operations": comfy.ops.disable_weight_init, **settings}
    del config["out_channels"]
    network = comfy.cldm.cldm.ControlNet(**config)
    _randomise(network, seed)
    return comfy.controlnet.ControlNet(network, load_device=CPU)


def text(seed: int, **options) -> list:
    """A CONDITIONING such as SDXL's text encoders give, of random numbers. options: further ones of the cond."""
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(1, 1280, generator=generator)
    return [[torch.randn(1, 77, 2048, generator=generator), {"pooled_output": pooled, **options}]]


def predict(model, positive, negative=None, cfg: float = 5.0, sigma: float = 2.0, batch: int = 1, size=(8, 8)):
    """What the host's CFGGuider makes of a MODEL and two CONDITIONINGs at one sigma: denoised, (batch, 4, *size).

    Without negative, cfg is 1, for which the host leaves the negative prompt out.
    """
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative or text(99))
    guider.set_cfg(cfg if negative else 1.0)
    denoised = []

    class Look(comfy.samplers.Sampler):
        def sample(self, model_wrap, sigmas, extra_args, callback, noise, *args, **kwargs):
            x = noise * sigma
            denoised.append(model_wrap(x, torch.full((batch,), sigma), **extra_args))
            return denoised[0]

    noise = torch.randn(batch, 4, *size, generator=torch.Generator().manual_seed(5))
    guider.sample(noise, torch.zeros_like(noise), Look(), torch.tensor([sigma, 0.0]), seed=0)
    return denoised[0]

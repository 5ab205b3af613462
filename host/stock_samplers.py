"""Which of the host's samplers can sample from an inverted picture."""

import comfy.samplers
import torch

# Parts of the names of k-diffusion functions that add noise of their own, or ask the model more than once a step or
# between two sigmas of the schedule: from an inverted latent they lose the picture without a word.
UNFIT = (
    *("ancestral", "sde", "ddpm", "lcm", "seeds", "sa_solver"),
    *("heun", "dpm_2", "dpm_fast", "dpm_adaptive", "dpmpp_2s", "cfg_pp"),
)


def check_sampler(sampler, noise: torch.Tensor) -> None:
    """Refuse a stock sampler that cannot follow an inverted latent: a stochastic or multi-evaluation one without noise.

    sampler: a SAMPLER. noise: (B, C, H, W), what the graph's NOISE gave; all zero where sampling starts at a latent.
    Raises ValueError. Any sampler may sample from fresh noise.
    """
    if not isinstance(sampler, comfy.samplers.KSAMPLER) or noise.is_nested or noise.count_nonzero() > 0:
        return
    name = getattr(sampler.sampler_function, "__name__", "")  # a partial has none
    if any(part in name for part in UNFIT):
        raise ValueError(
            f"sampler: {name} is stochastic or evaluates the model between the schedule's steps, so it cannot follow "
            "an inverted picture. Connect BiMD Sampler, or a sampler such as euler."
        )

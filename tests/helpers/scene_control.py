"""The scene branch on a shallow SDXL, with and without a control module."""

import comfy.samplers
import nodes as host_nodes
import torch
from comfy_extras.nodes_custom_sampler import RandomNoise
from standins.instantid_host import text

from helpers.sampling import sample, schedule

STEPS = 4
PROMPT, NEGATIVE, PERSON = text(1), text(2), text(3)


def hint(seed=0):
    """A picture of random stripes, (1, 64, 64, 3)."""
    stripes = (torch.rand(1, 1, 64, 1, generator=torch.Generator().manual_seed(seed)) > 0.5).float()
    return stripes.expand(1, 64, 64, 3)


def apply_control(module, positive=PROMPT, negative=NEGATIVE, strength=1.0, start=0.0, end=1.0, picture=None):
    """Stock Apply ControlNet: (positive, negative)."""
    picture = hint() if picture is None else picture
    return host_nodes.ControlNetApplyAdvanced().apply_controlnet(
        positive, negative, module, picture, strength, start, end
    )


def text_guider(model, positive=PROMPT, negative=NEGATIVE, cfg=3.0):
    """The host's CFGGuider on two prompts."""
    flow = comfy.samplers.CFGGuider(model)
    flow.set_conds(positive, negative)
    flow.set_cfg(cfg)
    return flow


def scene_schedule(model):
    """SIGMAS of STEPS steps."""
    return schedule(model, STEPS, "ddim_uniform")


def sample_scene(flow, sampler, latent, seed=None):
    """Samples along `scene_schedule`, from the latent itself if there is no seed."""
    noise = None if seed is None else RandomNoise.execute(seed).result[0]
    return sample(flow, sampler, scene_schedule(flow.model_patcher), latent, noise)


def draw_scene(model, positive=PROMPT, negative=NEGATIVE):
    """The scene branch: (1, 4, 8, 8)."""
    empty = {"samples": torch.zeros(1, 4, 8, 8)}
    return sample_scene(text_guider(model, positive, negative), "euler", empty, seed=5)


def distance(a, b):
    """The root of the mean squared difference."""
    return (a - b).pow(2).mean().sqrt().item()

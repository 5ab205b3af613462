"""A stand-in MODEL whose predictions tell which weights, timesteps and attention patches they were made with."""

import comfy.model_patcher
import comfy.ops
import comfy.samplers
import torch
from comfy.model_base import ModelType
from standins.analytic import StandInModel, conditioning

KEY = "diffusion_model.mix.weight"


class WeightedNetwork(torch.nn.Module):
    """Layers of the host's own kind, so that it patches, casts and offloads their weights as a real network's.

    Every output depends on the input as the model sampling scaled it, the timestep, the context and each weight.
    """

    dtype = torch.float32

    def __init__(self, seed: int):
        super().__init__()
        ops, generator = comfy.ops.disable_weight_init, torch.Generator().manual_seed(seed)
        self.mix = ops.Conv2d(4, 4, 3, padding=1)
        self.tell = ops.Linear(2, 4)
        for parameter in self.parameters():
            parameter.requires_grad_(False).copy_(torch.randn(parameter.shape, generator=generator) / 3)

    def forward(self, xc, t, context, transformer_options, **kwargs):
        """A noise prediction (B, C, H, W)."""
        shift = self.tell(context[:, 0]) + torch.sin(t / 100).reshape(-1, 1)
        for patch in transformer_options.get("patches", {}).get("attn2_patch", []):
            shift, _, _ = patch(shift, shift, shift, {})
        return torch.tanh(self.mix(xc) + shift.reshape(*shift.shape, 1, 1))


def weighted_model(seed: int = 0):
    """A MODEL around a `WeightedNetwork`; equal seeds give equal weights that share no memory."""
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(StandInModel(WeightedNetwork(seed), ModelType.EPS), cpu, cpu)


def lora(seed: int, scale: float = 1.0) -> dict:
    """A LoRA file's tensors for the convolution."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "lora_unet_mix.lora_up.weight": torch.randn(4, 2, 1, 1, generator=generator) * scale,
        "lora_unet_mix.lora_down.weight": torch.randn(2, 4, 3, 3, generator=generator) / 6,
    }


def call_log():
    """A function that makes a CFGGuider log its calls, and those of its copies, under a name; and the list of them.

    Each is (name, x, sigma, denoised).
    """
    log = []

    def logged(flow, name):
        class Logged(type(flow)):
            __module__ = type(flow).__module__  # to log changes no answer: to the pack it is the guider it was

            def predict_noise(self, x, timestep, *args, **kwargs):
                denoised = super().predict_noise(x, timestep, *args, **kwargs)
                log.append((name, x.clone(), timestep.clone(), denoised.clone()))
                return denoised

        flow.__class__ = Logged
        return flow

    return logged, log


class Questions(comfy.samplers.Sampler):
    """A SAMPLER that asks a guider about given latents, step by step, and keeps the answers."""

    def __init__(self, questions):
        self.questions = questions
        self.answers = []

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *rest, **kwargs):
        """Ask; returns the noise."""
        for x, sigma in self.questions:
            self.answers.append(model_wrap(x, sigma, **extra_args).clone())
        return noise


def asked_alone(flow, sigmas, log, name):
    """What the guider `flow`, entered alone, answers to the logged questions of `name`.

    At the steps where `name` was not called it is asked about zeros, so that it lives through the whole schedule.
    """
    called = {sigma[0].item(): (x, sigma) for who, x, sigma, _ in log if who == name}
    some = next(iter(called.values()))
    questions = [
        called.get(sigma.item(), (torch.zeros_like(some[0]), sigma * torch.ones_like(some[1]))) for sigma in sigmas[:-1]
    ]
    asked = Questions(questions)
    zeros = torch.zeros_like(some[0])
    flow.sample(zeros, zeros, asked, sigmas)
    return [answer for answer, (_, sigma) in zip(asked.answers, questions, strict=True) if sigma[0].item() in called]


def conds(mean: float, **options):
    """Positive and negative CONDITIONING; options of the positive cond."""
    return conditioning(mean, 0.8, **options), conditioning(0.1, 0.4)

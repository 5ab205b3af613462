"""What several tests of lab/ are built from. tests/lab/conftest.py puts lab/ on sys.path, so they alone import it."""

import argparse
from pathlib import Path

import torch
from rehearsal.models import Sizes
from standins.analytic import conditioning, gaussian_model
from standins.sdxl import TINY

from benchmarks.subjects import Subject
from pocket.training import Training

# The rehearsal's files for the tiny SDXL.
NARROW = Sizes(
    sdxl=TINY,
    encoder={"hidden": 64, "layers": 2},
    perceiver={"hidden": 64, "layers": 2},
    resampler=128,
    photomaker_rank=4,
    lora_rank=4,
)
PROMPT = "a close-up of a woman in a striped blue sweater on a sunny beach at sunset"


def gaussian_subject() -> Subject:
    """A latent and two texts for a model whose predictions are known in closed form."""
    samples = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)) / 0.13025
    texts = conditioning(0.5, 0.8), conditioning(0.0, 1.0)
    return Subject(gaussian_model(), *texts, {"samples": samples}, lambda latent: latent.movedim(1, -1))


def shaken(module: torch.nn.Module, seed: int, deviation: float = 0.05) -> torch.nn.Module:
    """The module with no weight at its start, as a file of float16 keeps it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(deviation * torch.randn(parameter.shape, generator=generator))
    return module.half().float().eval()


def training_options(folder: Path, steps: int, **more) -> argparse.Namespace:
    """A training script's options, as its command line gives them."""
    values = {"minutes": 1.0, "threads": 1, "seed": 0, "output": folder, "float32": True, "workers": 0} | more
    return argparse.Namespace(steps=steps, **values)


def training_that_stops_at(stop: int) -> type[Training]:
    """A Training whose run ends after step `stop`, as if its minutes were up."""

    class Cut(Training):
        def run(self, loss):
            def until(step):
                if step + 1 == stop:
                    self.options.minutes = 0.0
                return loss(step)

            super().run(until)
            assert self.step == stop

    return Cut

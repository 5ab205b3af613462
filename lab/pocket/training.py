"""What every training script of the pocket world shares: command line, schedule, progress, resumable checkpoints."""

import argparse
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from pocket.kept import OUTPUT

WARM_UP, LEAST = 200, 0.01  # steps until the full learning rate; the share of it that the last step has
PROGRESS_SECONDS, SAVE_SECONDS = 10, 300


def arguments(description: str, steps: int, draws: bool = False) -> argparse.ArgumentParser:
    """The options that every training script has. steps: the default of --steps. draws: has --workers as well."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps, help="steps in all, over all runs: the schedule spans them")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end this run after so long; start it to go on")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--float32", action="store_true", help="else bfloat16: four times as fast on a CPU with AMX")
    if draws:
        parser.add_argument("--workers", type=int, default=0, help="processes that draw pictures; 0: this one")
    return parser


def learning_rate(step: int, steps: int, highest: float) -> float:
    """A linear rise over WARM_UP steps, then a cosine down to LEAST of `highest`."""
    rise = min((step + 1) / WARM_UP, 1)
    return highest * rise * (LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1))))


class Training:
    """A model in training: options from `arguments`, a checkpoint `name`.pt in options.output, read where it exists.

    step: steps taken so far. The checkpoint holds model, optimiser and step: everything random in step n comes from the
    seed and n, so that a run that was cut off and resumed takes the steps of one that was not.
    """

    def __init__(self, name: str, model: nn.Module, options: argparse.Namespace, highest_rate: float):
        torch.set_num_threads(options.threads)
        self.model, self.options, self.highest_rate = model, options, highest_rate
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=highest_rate, betas=(0.9, 0.99), weight_decay=1e-4)
        self.step = 0
        self._file = options.output / f"{name}.pt"
        options.output.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            state = torch.load(self._file, weights_only=True)
            model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def save(self) -> None:
        """Write the checkpoint; whoever reads meanwhile finds the old or the new one, whole."""
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "step": self.step}
        fresh = self._file.with_suffix(".fresh")
        torch.save(state, fresh)
        fresh.replace(self._file)

    def run(self, loss: Callable[[int], dict[str, torch.Tensor]]) -> None:
        """Take steps until all are taken or the minutes are up.

        loss: gives the terms of step n, scalars by name; their sum is what is minimised.
        """
        started = shown = saved = time.monotonic()
        first, means = self.step, {}
        while self.step < self.options.steps and time.monotonic() - started < 60 * self.options.minutes:
            torch.manual_seed(self.options.seed * self.options.steps + self.step)
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.step, self.options.steps, self.highest_rate)
            with torch.autocast("cpu", torch.bfloat16, enabled=not self.options.float32):
                terms = loss(self.step)
            self.optimiser.zero_grad()
            sum(terms.values()).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.step += 1
            for name, value in terms.items():
                means[name] = 0.98 * means.get(name, value.item()) + 0.02 * value.item()
            now = time.monotonic()
            if now - shown > PROGRESS_SECONDS:
                shown = now
                pace = (now - started) / (self.step - first)
                left = pace * (self.options.steps - self.step) / 60
                losses = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(
                    f"step {self.step}/{self.options.steps} {losses} {pace:.2f} s/step {left:.0f} min left", flush=True
                )
            if now - saved > SAVE_SECONDS:
                saved = now
                self.save()
        self.save()

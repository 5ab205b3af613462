"""Run methods against each other: in one process, on one picture, in an order that changes from repeat to repeat."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median

import comfy.model_management
import torch
from customenhancer.host.trajectory import trajectory_recorder
from torch import Tensor
from tqdm import tqdm

from benchmarks.counting import Counts, counted
from benchmarks.memory import with_peak_memory
from benchmarks.methods import BASELINE
from benchmarks.subjects import Subject, sample


def timed(run: Callable[[], object]) -> tuple[object, float]:
    """What run() gives, and the seconds that it took."""
    _wait_for_device()
    start = time.perf_counter()
    result = run()
    _wait_for_device()
    return result, time.perf_counter() - start


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def turns(names: Sequence, repeats: int, rng: random.Random, title: str) -> Iterator:
    """All names once for each repeat, in an order of its own; `title` is that of the progress bar."""
    order = [name for _ in range(repeats) for name in rng.sample(names, len(names))]
    with tqdm(order, title) as progress:
        for name in progress:
            progress.set_postfix_str(str(name))
            yield name


def in_turns(
    runs: Mapping[str, Callable[[], object]], repeats: int, rng: random.Random, title: str
) -> dict[str, list[float]]:
    """The seconds of each run, by name, one for each repeat, run in `turns`."""
    seconds = {name: [] for name in runs}
    for name in turns(list(runs), repeats, rng, title):
        seconds[name].append(timed(runs[name])[1])
    return seconds


def ratio(seconds: list[float], to: list[float]) -> float:
    """The median, over repeats, of the ratio within a repeat: what slows the machine for a while slows both."""
    return median(one / other for one, other in zip(seconds, to, strict=True))


def psnr(picture: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures 0 .. 1; infinite for the same picture."""
    return (-10 * (picture - reference).square().mean().log10()).item()


def outcome(method: Callable, subject: Subject, sigmas: Tensor, cfg: float) -> dict:
    """Invert, and sample back: the inversion's peak memory, and errors in the model's latent units; nothing is timed.

    step_errors: how far sampling is from the inversion's own way, from the noisiest sigma down to the picture.
    """
    _load(subject)
    inverted, peak_mib = with_peak_memory(lambda: method(subject, sigmas, cfg))
    recording = trajectory_recorder(inverted.sampler)
    samples = sample(inverted.guider, recording, sigmas, inverted.latent)["samples"]
    process_in = subject.model.get_model_object("latent_format").process_in
    error = process_in(samples) - process_in(subject.latent["samples"])
    way = recording.result.anchors - inverted.pivot.to(recording.result.anchors)
    return {
        "peak_memory_mib": peak_mib,
        "max_error": error.abs().max().item(),
        "psnr_db": psnr(subject.decode(samples), subject.decode(subject.latent["samples"])),
        "step_errors": way.abs().flatten(1).amax(dim=1).flip(0).tolist(),
    }


def cost(method: Callable, subject: Subject, sigmas: Tensor, cfg: float) -> tuple[Counts, float]:
    """Invert: what was asked of the model, and the seconds."""
    _load(subject)
    with counted(subject.model) as counts:
        _, seconds = timed(lambda: method(subject, sigmas, cfg))
    return counts, seconds


def _load(subject: Subject) -> None:
    """Bring the model back from wherever another method or the VAE has sent it: that is no method's cost."""
    comfy.model_management.load_models_gpu([subject.model])


def compare(
    methods: Mapping[str, Callable], subject: Subject, steps: int, cfg: float, repeats: int, rng: random.Random
) -> list[dict]:
    """One row for each method: `outcome`, and `cost` with a list of seconds and their ratio to the baseline's.

    methods: by name, the baseline among them. Raises RuntimeError where a method's counts change between repeats.
    """
    sigmas, title = subject.sigmas(steps), f"{steps} steps, cfg {cfg:g}"
    outcomes, counts, seconds = {}, {name: [] for name in methods}, {name: [] for name in methods}
    # First, so that what a first run of all sets up is no method's cost.
    for name in turns(list(methods), 1, rng, f"{title}, outcome"):
        outcomes[name] = outcome(methods[name], subject, sigmas, cfg)
    for name in turns(list(methods), repeats, rng, f"{title}, cost"):
        found, took = cost(methods[name], subject, sigmas, cfg)
        counts[name].append(found)
        seconds[name].append(took)
    rows = []
    for name in methods:
        first, *others = counts[name]
        if any(other != first for other in others):
            raise RuntimeError(f"{name}: what it asks of the model changed between repeats, {counts[name]}")
        times = {"seconds": seconds[name], "ratio": ratio(seconds[name], seconds[BASELINE])}
        rows.append({"method": name, "steps": steps, "cfg": cfg, **asdict(first), **times, **outcomes[name]})
    return rows

"""Measure every inversion method on the same picture and model, and write a table and plots.

python3 dev.py bench inversion [--quick] [--models DIR --size 1024] [--random-weights fp16]
"""

from benchmarks import loading  # isort: skip  first: it loads host and pack

import argparse
import dataclasses
import json
import random
from pathlib import Path

import comfy.utils
import torch
from customenhancer.drawing.plots import draw_series
from support_pack.tiny_sdxl import register_tiny_sdxl

from benchmarks import claims
from benchmarks.measuring import compare
from benchmarks.methods import METHODS
from benchmarks.provenance import named, provenance
from benchmarks.random_weights import DTYPES, random_sdxl
from benchmarks.subjects import PROMPT, Subject, astronaut, from_checkpoint, from_pocket_world, missing_pocket_weights
from benchmarks.tables import markdown

FULL = {
    "grid": [(50, 1.0), (50, 5.0), (50, 7.5), (4, 5.0), (8, 5.0), (20, 5.0)],
    "growth": {"steps": [10, 20, 30, 40, 50], "batches": [1, 2, 4, 8]},
    "recording": {"steps": 50, "sizes": [2, 5, 10, 25]},
}
QUICK = {
    "grid": [(2, 5.0)],
    "growth": {"steps": [1, 2, 3], "batches": [1, 2, 3]},
    "recording": {"steps": 4, "sizes": [2, 4]},
}


def about(model: str, subject: Subject, repeats: int) -> dict:
    """What a reader has to know of a run. model: for people."""
    height, width = (8 * side for side in subject.latent["samples"].shape[2:])
    picture = {"model": model, "picture": f"{width} x {height} pixels"}
    return {**picture, **provenance(), "threads": torch.get_num_threads(), "repeats": repeats}


def run(subject: Subject, grid: list, growth: dict, recording: dict, repeats: int, seed: int) -> dict:
    """All measurements, as the JSON file has them. grid: (steps, cfg) of each table; seed: of the order of methods."""
    rng, steps = random.Random(seed), max(steps for steps, _ in grid)
    cfgs = [cfg for some, cfg in grid if some == steps]
    with torch.inference_mode():  # as the host's executor has it
        rows = [row for cell in grid for row in compare(METHODS, subject, *cell, repeats, rng)]
        return {
            "rows": rows,
            "of_table": claims.of_table(rows),
            "growth": claims.growth(subject, **growth, repeats=repeats, rng=rng),
            "res_inversion_over_ddim": claims.res_inversion_over_ddim(subject, steps, cfgs, repeats, rng),
            "bimd_over_euler": claims.bimd_over_euler(subject, steps, repeats, rng),
            "batched_recording": claims.batched_recording(subject, **recording, repeats=repeats, rng=rng),
        }


def write(results: dict, folder: Path, name: str) -> None:
    """Write <name>.md, <name>.json and three plots into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (folder / f"{name}.md").write_text(markdown(results), encoding="utf-8")
    steps = max(row["steps"] for row in results["rows"])
    rows = [row for row in results["rows"] if (row["steps"], row["cfg"]) == (steps, 5.0)]
    along = {row["method"]: (range(steps + 1), row["step_errors"]) for row in rows}
    title = f"{steps} steps, cfg 5, {results['about']['model']}"
    labels = "step, from the noisiest", "largest distance from the inversion's own way (least: 1e-9)"
    draw_series(title, *labels, along, lines=True, log_y=True).save(folder / f"{name}-error.png")
    cost = {row["method"]: ([row["ratio"]], [row["max_error"]]) for row in rows}
    labels = "seconds of the inversion / DDIM inversion's", "largest error of the reconstruction (least: 1e-9)"
    draw_series(title, *labels, cost, lines=False, log_x=True, log_y=True).save(folder / f"{name}-cost.png")
    for along, fit in results["growth"].items():
        line = [fit["slope"] * x + fit["intercept"] for x in fit["x"]]
        series = {"measured": (fit["x"], fit["y"]), f"fit, R^2 = {fit['r_squared']:.4f}": (fit["x"], line)}
        title = f"ResInversion, {results['about']['model']}"
        draw_series(title, along, "seconds", series, lines=True).save(folder / f"{name}-growth-{along}.png")


def parse(arguments: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="dev.py bench inversion")
    parser.add_argument("--models", type=Path, required=True, help="a models folder (dev.py names the stand-ins')")
    parser.add_argument("--checkpoint", help="in its checkpoints/; the first, if not said")
    parser.add_argument(
        "--random-weights",
        nargs="?",
        const="fp16",
        choices=DTYPES,
        help="a network of SDXL's real size with random weights in place of the checkpoint's; fp16, if not said",
    )
    parser.add_argument("--pocket", action="store_true", help="measure the pocket world's model, too")
    parser.add_argument("--size", type=int, help="of the picture, in pixels: 256, 64 with --quick, 1024 with real size")
    parser.add_argument("--repeats", type=int, help="5, or 2 with --quick, if not said")
    parser.add_argument("--threads", type=int, default=1, help="on a CPU: 1, if not said, enough for the stand-ins")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which methods run")
    parser.add_argument("--quick", action="store_true", help="few steps, small picture: to see that it works")
    parser.add_argument("--results", type=Path, default=loading.RESULTS)
    parser.add_argument("--name", help="of the files; by model and device, if not said")
    options = parser.parse_args(arguments)
    options.size = options.size or (64 if options.quick else 1024 if options.random_weights else 256)
    options.repeats = options.repeats or (2 if options.quick else 5)
    return parser, options


def subject_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[str, str, Subject]:
    """What the command line says to measure: the model for people, its name for files, and the subject."""
    checkpoints = options.models / "checkpoints"
    found = sorted(file.name for file in checkpoints.glob("*.safetensors"))
    checkpoint = options.checkpoint or next(iter(found), "")
    if checkpoint not in found:
        parser.error(f"{checkpoints} has {', '.join(found) or 'no safetensors file'}, and not {checkpoint or 'one'}")
    subject = from_checkpoint(checkpoints / checkpoint, astronaut(options.size), PROMPT)
    dtype = options.random_weights
    if dtype is None:
        return named([checkpoints / checkpoint]), Path(checkpoint).stem, subject
    try:
        network = random_sdxl(DTYPES[dtype], options.size)
    except MemoryError as error:
        parser.error(f"--random-weights: {error}")
    name = f"random weights of SDXL's size in {dtype}, texts and VAE of {checkpoint}"
    return name, f"random-{dtype}", dataclasses.replace(subject, model=network)


def measure(model: str, name: str, subject: Subject, options: argparse.Namespace) -> None:
    """Measure a subject, write its files and print its page. model: for people. name: of the files."""
    results = {"about": about(model, subject, options.repeats)}
    setting = QUICK if options.quick else FULL
    results |= run(subject, **setting, repeats=options.repeats, seed=options.seed)
    write(results, options.results, name)
    print(markdown(results))
    print(f"Written to {options.results / name}.md, .json and -*.png")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser, options = parse(arguments)
    if options.pocket and (missing := missing_pocket_weights()):
        parser.error(
            f"--pocket: lab/pocket/weights/ lacks {' and '.join(missing)}; lab/pocket/README.md says how to make them"
        )
    torch.set_num_threads(options.threads)
    register_tiny_sdxl()
    comfy.utils.set_progress_bar_enabled(False)
    kind = f"{'cuda' if torch.cuda.is_available() else 'cpu'}{'-quick' if options.quick else ''}"
    with torch.inference_mode():
        model, name, subject = subject_of(parser, options)
    measure(model, options.name or f"inversion-{name}-{kind}", subject, options)
    if options.pocket:
        with torch.inference_mode():
            subject = from_pocket_world()
        measure("the pocket world's model", f"{options.name or 'inversion'}-pocket-{kind}", subject, options)


if __name__ == "__main__":
    main()

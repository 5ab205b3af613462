"""The paper's tables in miniature: the method and its parts on people and scenes of the pocket world.

python3 dev.py bench pocket [--quick] [--identities 20 --prompts 8 --seeds 2 --steps 20]
"""

from benchmarks import loading  # isort: skip  first: it loads host and pack

import argparse
import contextlib
import json
import multiprocessing
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import comfy.utils
import torch
from customenhancer.drawing.contact_sheet import draw_sheet
from customenhancer.drawing.plots import draw_series
from PIL import Image
from support_pack.tiny_sdxl import register_tiny_sdxl

from benchmarks.pocket_cases import SHOT, held_out_case
from benchmarks.pocket_claims import CLAIMS
from benchmarks.pocket_curves import STARTS, fusion_curve, mean_curve, mss_curve, partner, series
from benchmarks.pocket_flows import Settings
from benchmarks.pocket_judges import Judges, views_of
from benchmarks.pocket_models import Models, load, missing
from benchmarks.pocket_rows import FULL, PERSONALISED, SCENE, SWAPPED, draw_rows
from benchmarks.pocket_tables import markdown
from benchmarks.provenance import named, provenance
from intervals import judged, summary
from pocket.kept import WEIGHTS
from pocket.train_scenes import load_classifier
from pocket.world.pose import SHOTS

DEFAULT = {"identities": 20, "prompts": 8, "seeds": 2, "steps": 20, "curve_identities": 4, "curve_prompts": 4}
QUICK = {"identities": 2, "prompts": 2, "seeds": 1, "steps": 4, "curve_identities": 1, "curve_prompts": 2}
MSS_SHARE = 0.2  # the nodes' own default, 10 of 50 steps
EXAMPLES, SIDE = 6, 256  # rows of the contact sheet, pixels of a picture in it
SHOWN = {SCENE: "scene", SWAPPED: "face swapped in", PERSONALISED: "personalised model alone", FULL: "full method"}


@dataclass(frozen=True)
class Bench:
    """All that a part of the benchmark needs: models, judges, how many of what, seed of people and noise, and shot."""

    models: Models
    judges: Judges
    numbers: dict
    settings: Settings
    seed: int
    shot: str

    def person(self, number: int) -> dict:
        """A person's rows: {"columns", "guider_calls"} by row, and "example", labelled pictures."""
        case = held_out_case(number, self.numbers["prompts"], self.numbers["seeds"], self.seed, self.shot)
        drawn = draw_rows(self.models, case, self.settings)
        views, scene = views_of(self.judges, case.person), self.judges.look(drawn[SCENE].pictures)
        place = number % self.numbers["prompts"] * self.numbers["seeds"]
        shown = {"reference": case.person.reference[0]}
        shown |= {label: drawn[row].pictures[place] for row, label in SHOWN.items()}
        return {
            "columns": {
                row: self.judges.measure(self.judges.look(one.pictures), case, views, scene)
                for row, one in drawn.items()
            },
            "guider_calls": {row: one.guider_calls for row, one in drawn.items()},
            "example": {label: (255 * picture).round().byte().numpy() for label, picture in shown.items()},
        }

    def mss(self, number: int) -> list[dict]:
        """A person's `mss_curve`."""
        case = held_out_case(number, self.numbers["curve_prompts"], 1, self.seed, self.shot)
        return mss_curve(self.models, self.judges, case, self.settings, STARTS)

    def fusion(self, number: int) -> list[dict]:
        """A person's `fusion_curve`."""
        case = held_out_case(number, self.numbers["curve_prompts"], 1, self.seed, self.shot)
        return fusion_curve(self.models, self.judges, case, partner(case, self.seed), self.settings, STARTS)


_bench: Bench | None = None  # this process's


def set_up(models: Path, weights: Path, threads: int, *chosen) -> None:
    """Load everything in this process, for `part`. chosen: what Bench has beside models and judges."""
    global _bench
    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates
    torch.set_num_threads(threads)
    register_tiny_sdxl()
    comfy.utils.set_progress_bar_enabled(False)
    with torch.inference_mode():
        loaded = load(models)
        _bench = Bench(loaded, Judges(loaded.judge, load_classifier(weights)), *chosen)


def part(what: str, number: int):
    """One part of the benchmark: a method of Bench, by its name, for a person."""
    with torch.inference_mode():  # as the host's executor has it
        return getattr(_bench, what)(number)


def run(workers: int, numbers: dict, arguments: tuple) -> dict[str, list]:
    """All parts, by what they are: {"person", "mss", "fusion"}; says after each what is left.

    workers: processes; 0: this one. arguments: of `set_up`.
    """
    counts = {"person": numbers["identities"], **dict.fromkeys(("mss", "fusion"), numbers["curve_identities"])}
    jobs = [(what, number) for what, count in counts.items() for number in range(count)]
    found, started = {what: [] for what in counts}, time.monotonic()
    with contextlib.ExitStack() as stack:
        if workers:
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(workers, context, set_up, arguments))
            parts = pool.map(part, *zip(*jobs, strict=True))
        else:
            set_up(*arguments)
            parts = (part(*job) for job in jobs)
        for done, (made, (what, number)) in enumerate(zip(parts, jobs, strict=True), 1):
            found[what].append(made)
            passed = (time.monotonic() - started) / 60
            left = passed * (len(jobs) / done - 1)
            print(f"{what} {number + 1}: {done} of {len(jobs)}, {passed:.1f} min, {left:.1f} min left", flush=True)
    return found


def results_of(parts: dict[str, list], seed: int) -> dict:
    """All measurements, as the JSON file has them. parts: from `run`."""
    people = [person["columns"] for person in parts["person"]]
    return {
        "rows": summary(people, seed),
        "guider_calls": parts["person"][0]["guider_calls"],
        "claims": judged(people, CLAIMS, seed),
        "mss": mean_curve(parts["mss"]),
        "fusion": mean_curve(parts["fusion"]),
        "people": people,
    }


def contact_sheet(examples: list[dict]) -> Image.Image:
    """A row for each example, its pictures, (H, W, 3) uint8, at SIDE pixels below their labels."""
    pictures = torch.stack([torch.from_numpy(one) / 255 for example in examples for one in example.values()])
    large = comfy.utils.common_upscale(pictures.movedim(-1, 1), SIDE, SIDE, "lanczos", "disabled").movedim(1, -1)
    labels = [label for example in examples for label in example]
    sheet = draw_sheet(list(large), labels, len(examples[0]))
    return Image.fromarray((255 * sheet).round().byte().numpy())


def write(results: dict, examples: list[dict], folder: Path, name: str) -> None:
    """Write <name>.md, <name>.json, three plots and the contact sheet into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (folder / f"{name}.md").write_text(markdown(results), encoding="utf-8")
    contact_sheet(examples).save(folder / f"{name}-examples.png")
    step = "starting step (MSS), from the noisiest; at the last the forward flow is off"
    for figure, points, label, names in (
        ("similarity", "mss", "face similarity, %", {"similarity": "similarity"}),
        ("background", "mss", "distance of the background to the scene, %", {"background": "distance"}),
        ("fusion", "fusion", "face similarity, %", {"forward": "forward ID", "backward": "backward ID"}),
    ):
        lines = series(results[points], names)
        picture = draw_series("Pocket world, full method", step, label, lines, lines=True)
        picture.save(folder / f"{name}-{figure}.png")


def at_least_one(text: str) -> int:
    """Read a number of people, prompts or steps."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="dev.py bench pocket")
    parser.add_argument("--models", type=Path, required=True, help="a models folder (dev.py names the pocket world's)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where scenes.safetensors is")
    for name, value in DEFAULT.items():
        help_text = f"{value}, or {QUICK[name]} with --quick, if not said"
        parser.add_argument(f"--{name.replace('_', '-')}", type=at_least_one, help=help_text)
    parser.add_argument("--shot", choices=SHOTS, default=SHOT, help="that the prompts ask for")
    parser.add_argument("--cfg", type=float, default=5.0)
    parser.add_argument("--start-step", type=int, help="MSS; a fifth of the steps, if not said")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count(), 8), help="processes; 0: this one alone")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--quick", action="store_true", help="a few pictures of a few steps: to see that it works")
    parser.add_argument("--results", type=Path, default=loading.RESULTS)
    parser.add_argument("--name", help="of the files; pocket, or pocket-quick with --quick, if not said")
    options = parser.parse_args(arguments)
    lacking = missing(options.models)
    lacking += [] if (options.weights / "scenes.safetensors").exists() else [options.weights / "scenes.safetensors"]
    if lacking:
        parser.error(
            f"{options.models} lacks {', '.join(map(str, lacking))}: lab/pocket/README.md says how to train them"
        )
    usual = QUICK if options.quick else DEFAULT
    numbers = {name: getattr(options, name) or value for name, value in usual.items()}
    steps = numbers.pop("steps")
    start_step = round(MSS_SHARE * steps) if options.start_step is None else options.start_step
    settings = Settings(steps, options.cfg, start_step)

    started = time.monotonic()
    chosen = numbers, settings, options.seed, options.shot
    parts = run(options.workers, numbers, (options.models, options.weights, options.threads, *chosen))
    minutes = (time.monotonic() - started) / 60
    examples = [person["example"] for person in parts["person"][:EXAMPLES]]
    files = sorted(file for file in options.models.rglob("*") if file.suffix in (".safetensors", ".onnx"))
    files += [options.weights / "scenes.safetensors"]
    said = {"models": named(files), **numbers, **asdict(settings), "seed": options.seed, "shot": options.shot}
    took = {"processes": options.workers or 1, "threads of each": options.threads, "minutes": round(minutes)}
    about = {name.replace("_", " "): value for name, value in {**said, **provenance(), **took}.items()}
    results = {"about": about, **results_of(parts, options.seed)}
    name = options.name or f"pocket{'-quick' if options.quick else ''}"
    write(results, examples, options.results, name)
    print(markdown(results))
    print(f"Written to {options.results / name}.md, .json and -*.png")


if __name__ == "__main__":
    main()

"""The paper's tables in miniature: the method and its parts on people and scenes of the pocket world.

python3 dev.py bench pocket [--quick] [--identities 20 --prompts 8 --seeds 2 --steps 25]
"""

import loading  # isort: skip  first: it finds host and pack for the others

import argparse
import datetime
import hashlib
import json
import os
import platform
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import comfy.utils
import comfyui_version
import torch
from support_pack.tiny_sdxl import register_tiny_sdxl

sys.path.append(str(loading.CHECKOUT / "pocket"))  # last: the other modules keep their names

from models_folder import WEIGHTS
from plots import plot
from pocket_cases import held_out_case
from pocket_claims import judged
from pocket_curves import STARTS, fusion_curve, mean_curve, mss_curve, partner, series
from pocket_flows import Settings
from pocket_judges import Judges, views_of
from pocket_models import load, missing
from pocket_rows import FULL, PERSONALISED, SCENE, SWAPPED, draw_rows
from pocket_sheet import contact_sheet
from pocket_statistics import summary
from pocket_tables import markdown
from train_scenes import load_classifier

DEFAULT = {"identities": 20, "prompts": 8, "seeds": 2, "steps": 25, "curve_identities": 4}
QUICK = {"identities": 2, "prompts": 2, "seeds": 1, "steps": 4, "curve_identities": 1}
MSS_SHARE = 0.2  # the nodes' own default, 10 of 50 steps
EXAMPLES = 6  # rows of the contact sheet
SHOWN = {SCENE: "scene", SWAPPED: "face swapped in", PERSONALISED: "personalised model alone", FULL: "full method"}


class Progress:
    """Says after each of `total` parts what is left; the parts take about as long as each other."""

    def __init__(self, total: int):
        self._total, self._done, self._started = total, 0, time.monotonic()

    def step(self, what: str) -> None:
        """A part is done."""
        self._done += 1
        passed = (time.monotonic() - self._started) / 60
        left = passed * (self._total / self._done - 1)
        print(f"{what}: {self._done} of {self._total} parts, {passed:.1f} min, {left:.1f} min left", flush=True)


def run(models, judges: Judges, numbers: dict, settings: Settings, seed: int) -> tuple[dict, list[dict]]:
    """All measurements, as the JSON file has them, and the rows of the contact sheet. numbers: see DEFAULT."""
    people, calls, examples, mss, fusion = [], {}, [], [], []
    progress = Progress(numbers["identities"] + 2 * numbers["curve_identities"])
    for number in range(numbers["identities"]):
        case = held_out_case(number, numbers["prompts"], numbers["seeds"], seed)
        drawn = draw_rows(models, case, settings)
        views, scene = views_of(judges, case.person), judges.look(drawn[SCENE].pictures)
        people.append(
            {row: judges.measure(judges.look(one.pictures), case, views, scene) for row, one in drawn.items()}
        )
        calls = {row: one.guider_calls for row, one in drawn.items()}
        if number < EXAMPLES:
            place = number % numbers["prompts"] * numbers["seeds"]
            shown = {label: drawn[row].pictures[place] for row, label in SHOWN.items()}
            examples.append({"reference": case.person.reference[0], **shown})
        progress.step(f"person {number + 1}")
    for number in range(numbers["curve_identities"]):
        case = held_out_case(number, numbers["prompts"], 1, seed)
        mss.append(mss_curve(models, judges, case, settings, STARTS))
        progress.step("MSS")
        fusion.append(fusion_curve(models, judges, case, partner(case, seed), settings, STARTS))
        progress.step("fusion")
    results = {
        "rows": summary(people, seed),
        "guider_calls": calls,
        "claims": judged(people, seed),
        "mss": mean_curve(mss),
        "fusion": mean_curve(fusion),
        "people": people,
    }
    return results, examples


def about(files: list[Path], numbers: dict, settings: Settings, seed: int, seconds: float) -> dict:
    """What a reader has to know of a run. files: of the models."""
    return {
        "models": ", ".join(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}" for file in files),
        **{name.replace("_", " "): value for name, value in (numbers | asdict(settings) | {"seed": seed}).items()},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {seconds / 60:.0f} min",
        "system": platform.platform(),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ComfyUI": comfyui_version.__version__,
    }


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
        plot(folder / f"{name}-{figure}.png", "Pocket world, full method", step, label, lines, lines=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="dev.py bench pocket")
    parser.add_argument("--models", type=Path, required=True, help="a models folder (dev.py names the pocket world's)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where scenes.safetensors is")
    for name, value in DEFAULT.items():
        help_text = f"{value}, or {QUICK[name]} with --quick, if not said"
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=help_text)
    parser.add_argument("--cfg", type=float, default=5.0)
    parser.add_argument("--start-step", type=int, help="MSS; a fifth of the steps, if not said")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="a few pictures of a few steps: to see that it works")
    parser.add_argument("--results", type=Path, default=loading.CHECKOUT / "benchmarks" / "results")
    parser.add_argument("--name", help="of the files; pocket, or pocket-quick with --quick, if not said")
    options = parser.parse_args(arguments)
    lacking = missing(options.models)
    lacking += [] if (options.weights / "scenes.safetensors").exists() else [options.weights / "scenes.safetensors"]
    if lacking:
        parser.error(f"{options.models} lacks {', '.join(map(str, lacking))}: pocket/README.md says how to train them")
    usual = QUICK if options.quick else DEFAULT
    numbers = {name: getattr(options, name) or value for name, value in usual.items()}
    steps = numbers.pop("steps")
    start_step = round(MSS_SHARE * steps) if options.start_step is None else options.start_step
    settings = Settings(steps, options.cfg, start_step)

    warnings.simplefilter("ignore", FutureWarning)  # InsightFace's alignment uses what scikit-image deprecates
    torch.set_num_threads(options.threads)
    register_tiny_sdxl()
    comfy.utils.set_progress_bar_enabled(False)
    started = time.monotonic()
    with torch.inference_mode():  # as the host's executor has it
        models = load(options.models)
        judges = Judges(models.judge, load_classifier(options.weights))
        results, examples = run(models, judges, numbers, settings, options.seed)
    seconds = time.monotonic() - started
    files = sorted(file for file in options.models.rglob("*") if file.suffix in (".safetensors", ".onnx"))
    files += [options.weights / "scenes.safetensors"]
    results = {"about": about(files, numbers, settings, options.seed, seconds), **results}
    name = options.name or f"pocket{'-quick' if options.quick else ''}"
    write(results, examples, options.results, name)
    print(markdown(results))
    print(f"Written to {options.results / name}.md, .json and -*.png")


if __name__ == "__main__":
    main()

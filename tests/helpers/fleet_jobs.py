"""A job list for the pocket world: so many scenes, each for the same people, as the fleet's own example has it."""

import json
import sqlite3
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from .paths import CHECKOUT

sys.path.append(str(CHECKOUT / "lab"))

from pocket.world.caption import caption
from pocket.world.identity import sample_identity
from pocket.world.pose import sample_pose
from pocket.world.render import render
from pocket.world.scene import KINDS, sample_scene

GRAPH = CHECKOUT / "fleet" / "examples" / "one_scene_many_people.json"
SIDE, SEED = 128, 3
MODELS = {
    "SDXL checkpoint.ckpt_name": "pocket_sdxl.safetensors",
    "InstantID file.instantid_name": "pocket_instantid.safetensors",
    "IdentityNet.control_net_name": "pocket_identity_net.safetensors",
}


def write_job_list(folder: Path, scenes: int, people: int, steps: int) -> Path:
    """Pictures of people and a list of scenes × people jobs in `folder`; returns the list. Nobody is in a training."""
    rng = np.random.default_rng(7)
    for number in range(people):
        person = sample_identity(rng, "heldout", "woman")
        picture = render(sample_scene(rng, "heldout"), sample_pose(rng, "close-up", "woman"), person, SIDE).pixels
        (folder / "people").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "people" / f"{number}.png")
    kinds = [tuple(KINDS)[number % len(KINDS)] for number in range(scenes)]
    prompts = [
        caption(sample_scene(rng, "heldout", kind), sample_pose(rng, "close-up", "woman"), "woman") for kind in kinds
    ]
    common = {**MODELS, "workflow": str(GRAPH), "Schedule.steps": steps, "Negative prompt.text": ""}
    common |= {"Picture size.width": SIDE, "Picture size.height": SIDE, "Seed of the scene.noise_seed": SEED}
    rows = [
        {**common, "Prompt.text": prompt, "Reference person.image": f"people/{number}.png"}
        for prompt in prompts
        for number in range(people)
    ]
    file = folder / "jobs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def ask_ledger(results: Path, question: str) -> list[tuple]:
    """What a ledger answers, whoever writes to it meanwhile; nothing as long as there is none."""
    try:
        with sqlite3.connect(f"file:{results / 'ledger.sqlite'}?mode=ro", uri=True, timeout=10) as connection:
            return connection.execute(question).fetchall()
    except sqlite3.OperationalError:
        return []


def calls_by_ledger(results: Path) -> int:
    """The guider calls that hosts make which find in their caches what the job before it made."""
    calls, before = 0, {}
    jobs = ask_ledger(
        results,
        "SELECT a.host, j.stages, j.calls FROM attempts a JOIN jobs j USING (number) "
        "WHERE a.outcome = 'done' ORDER BY a.since",
    )
    for host, stages, counts in jobs:
        stages = stages.split()
        fresh = zip(stages, map(int, counts.split()), strict=True)
        calls += sum(count for stage, count in fresh if stage not in before.get(host, ()))
        before[host] = stages
    return calls

"""The host's own execution tests, in copies of the host with and without this pack."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from host_server import PACKS, free_port
from reliability.report import Section

LEAST = 0.95  # with fewer, the machine was too slow for the tests' own limits, and they tell nothing
CRITERION = (
    "The host's own tests of its executor (`tests/execution`, timing checks left out) pass with this pack in "
    f"`custom_nodes` as they do without it: none fails that does not fail without, and at least {LEAST:.0%} pass in "
    "both."
)
COUNTS = ("passed", "failed", "error", "skipped")


def host_tests(comfyui: Path, folder: Path, limit: float = 900) -> Section:
    """Run them without this pack and with it. comfyui: the host, of which copies go below `folder`.

    A run in which too many fail is made once more: the tests give a server 20 seconds to start, and a busy machine
    takes longer.
    """
    found, notes = {}, []
    for name in ("without", "with"):
        found[name] = _run(comfyui, folder / name, name == "with", limit)
        if not found[name].enough:
            notes.append(f"The run {name} this pack is the second: in the first, too many failed to tell anything.")
            found[name] = _run(comfyui, folder / f"{name} again", name == "with", limit)
    rows = [("host", *COUNTS)]
    rows += [(f"{name} this pack", *(found[name].counts.get(count, 0) for count in COUNTS)) for name in found]
    section = judged(found["without"], found["with"], rows)
    return replace(section, notes=[*section.notes, *notes])


class Result:
    """counts: how many tests came to each end. failing: the ids of those that failed. whole: pytest reached its end."""

    def __init__(self, counts: dict[str, int], failing: set[str], whole: bool):
        self.counts, self.failing, self.whole = counts, failing, whole

    @property
    def enough(self) -> bool:
        """Whether so many passed that the rest tells something."""
        ran = sum(self.counts.values()) - self.counts.get("skipped", 0)
        return self.counts.get("passed", 0) >= LEAST * ran > 0


def read_result(output: str) -> Result:
    """Read what `pytest -q -rfE` has printed."""
    lines = output.splitlines()
    last = next((line for line in reversed(lines) if re.search(r"\d+ passed", line)), "")
    counts = {
        name.removesuffix("s"): int(count) for count, name in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last)
    }
    failing = {match[1] for line in lines if (match := re.match(r"(?:FAILED|ERROR) (\S+)", line))}
    return Result(counts, failing, bool(last))


def judged(without: Result, with_pack: Result, rows: list) -> Section:
    """The section; it holds if both ran to their end, equally many, and the pack adds no failure."""
    new = sorted(with_pack.failing - without.failing)
    total = [sum(result.counts.values()) for result in (without, with_pack)]
    held = without.whole and with_pack.whole and not new and total[0] == total[1] > 0
    held = held and without.enough and with_pack.enough
    notes = [f"Failing with this pack alone: {_names(new)}."] if new else []
    notes += [f"Failing in both: {_names(both)}."] if (both := sorted(with_pack.failing & without.failing)) else []
    return Section("The host's own tests", CRITERION, rows, held, notes)


def _names(tests: list[str]) -> str:
    return ", ".join(tests[:8]) + (f" and {len(tests) - 8} more" if len(tests) > 8 else "")


def _run(comfyui: Path, copy: Path, with_pack: bool, limit: float) -> "Result":
    # With its byte code: the tests give a server 20 seconds to start.
    shutil.copytree(comfyui, copy, ignore=shutil.ignore_patterns(".git"), symlinks=True)
    (copy / "custom_nodes").mkdir(exist_ok=True)
    if with_pack:
        name = "ComfyUI-CustomEnhancer"
        (copy / "custom_nodes" / name).symlink_to(PACKS[name], target_is_directory=True)
    command = [sys.executable, "-m", "pytest", "tests/execution", "-q", "-rfE", "-p", "no:cacheprovider"]
    command += ["--port", str(free_port()), "--output_dir", str(copy / "results"), "--skip-timing-checks"]
    # The tests start their servers as `python`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COMFYUI_PATH")}
    process = subprocess.Popen(
        command, cwd=copy, env={**kept, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    try:
        return read_result(process.communicate(timeout=limit)[0])
    except subprocess.TimeoutExpired:
        process.kill()
        return read_result(process.communicate()[0])

"""Fuzz the pack's nodes in a host of its own: python lab fuzz --standins DIR --pocket DIR --prompts 200 --seed 1

`python3 dev.py fuzz` sets everything up and passes its arguments on. It ends with 1 if any prompt showed a fault: a raw
error, NaN, a result that is silently wrong, a dead worker or a hang. The same seed makes the same graphs.
"""

import argparse
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from fuzz.campaign import Campaign
from fuzz.findings import Findings
from fuzz.session import Session
from host_server import CHECKOUT, end_well, joined_models, server


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--standins", type=Path, required=True, metavar="DIR", help="the stand-in models")
    parser.add_argument("--pocket", type=Path, required=True, metavar="DIR", help="the pocket world's models")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--start", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=60, help="seconds that a prompt may take")
    parser.add_argument("--smallest", type=int, default=40, help="prompts spent on making one fault's graph small")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "output" / "fuzz")
    options = parser.parse_args()

    end_well()
    sys.stdout.reconfigure(errors="backslashreplace")
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    findings = Findings(options.output)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="customenhancer-fuzz-", ignore_cleanup_errors=True) as base:
        models = joined_models(options.standins, options.pocket, Path(base) / "models")
        start = partial(server, Path(base), models)
        with Session(start, options.output, options.limit) as session:
            campaign = Campaign(session, findings, options.seed, options.smallest)
            for number in range(options.start, options.start + options.prompts):
                campaign.run(number)
                _progress(number + 1 - options.start, options.prompts, started, findings)
    print(f"\n{findings.table()}\n{options.prompts} prompts, seed {options.seed}, "
          f"{time.monotonic() - started:.0f} s, {len(findings.faults)} different faults", flush=True)  # fmt: skip
    return 1 if findings.faults else 0


def _progress(done: int, prompts: int, started: float, findings: Findings) -> None:
    """One line that is kept up to date, or one now and then where the output is a file."""
    if sys.stdout.isatty() or done % 50 == 0 or done == prompts:
        line = f"{done}/{prompts} prompts, {time.monotonic() - started:.0f} s, {len(findings.faults)} faults"
        print(f"\r{line} ", end="", flush=True) if sys.stdout.isatty() else print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

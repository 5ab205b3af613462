"""Run every check of reliability and write docs/reliability.md: python lab reliability --standins DIR --pocket DIR

`python3 dev.py reliability` sets everything up and passes its arguments on. It ends with 1 if a criterion is missed.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path

from fuzz.client import Client
from fuzz.pictures import pictures
from host_server import CHECKOUT, end_well, joined_models, server
from reliability.disturbances import disturb
from reliability.host_tests import host_tests
from reliability.repeats import drift, results, two_hosts
from reliability.report import Section, page
from reliability.soak import soak
from reliability.traces import snapshot, traces


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--standins", type=Path, required=True, metavar="DIR", help="the stand-in models")
    parser.add_argument("--pocket", type=Path, required=True, metavar="DIR", help="the pocket world's models")
    parser.add_argument("--prompts", type=int, default=300, help="of the soak")
    parser.add_argument("--without-host-tests", action="store_true", help="leave the host's own tests out")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "docs" / "reliability.md")
    options = parser.parse_args()

    end_well()
    started = time.monotonic()
    sections = []
    with tempfile.TemporaryDirectory(prefix="customenhancer-reliability-", ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        home = _home_of_its_own(folder)
        before = {"home": snapshot(home), "the pack": snapshot(CHECKOUT)}
        models = joined_models(options.standins, options.pocket, folder / "models")
        host = partial(_host, folder, models)
        beside = ThreadPoolExecutor(1)  # the checks leave a core to the host's own tests, which wait most of the time
        if not options.without_host_tests:
            own_tests = beside.submit(host_tests, Path(os.environ["COMFYUI_PATH"]), folder / "copies")
        with host("first") as client:
            first = results(client)
            for check in (disturb, drift, partial(soak, prompts=options.prompts, every=options.prompts // 15 // 5 * 5)):
                sections.append(_told(check(client), started))
        with host("second") as client:
            sections.append(_told(two_hosts(first, results(client)), started))
        if not options.without_host_tests:
            sections.insert(0, _told(own_tests.result(), started))
        after = {"home": snapshot(home), "the pack": snapshot(CHECKOUT)}
        sections.append(_told(traces(before, after), started))
    seconds = time.monotonic() - started
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page(_facts(seconds), sections), encoding="utf-8")
    return 0 if all(section.held for section in sections) else 1


def _home_of_its_own(folder: Path) -> Path:
    """An empty home for the hosts, so that whatever they write there is seen."""
    home = folder / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        os.environ[name] = str(home)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        os.environ.pop(name, None)
    return home


@contextmanager
def _host(folder: Path, models: Path, name: str) -> Iterator[Client]:
    with server(folder / name, models, folder / f"{name}.log") as running:
        client = Client(running.url)
        for file, png in pictures().items():
            client.upload(file, png)
        yield client


def _told(section: Section, started: float) -> Section:
    """Print a section as soon as it is there."""
    print(f"\n{section.markdown()}\n\n({time.monotonic() - started:.0f} s so far)", flush=True)
    return section


def _facts(seconds: float) -> list[tuple[str, str]]:
    """Versions, machine and date; no paths and no names."""
    host = (Path(os.environ["COMFYUI_PATH"]) / "comfyui_version.py").read_text(encoding="utf-8")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "insightface"))
    return [
        ("date", f"{datetime.now(timezone.utc):%Y-%m-%d}"),
        ("command", "`python3 dev.py reliability`"),
        ("ComfyUI", host.split('"')[1]),
        ("Python", platform.python_version()),
        ("packages", packages),
        ("machine", f"{platform.system()}, {platform.machine()}, {os.cpu_count()} CPU cores, no accelerator"),
        ("time taken", f"{seconds:.0f} s"),
    ]


if __name__ == "__main__":
    sys.exit(main())

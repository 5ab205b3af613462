#!/usr/bin/env python3
"""Rehearse at real size from this folder, with the Python that runs this: it needs PyTorch, torchvision and NumPy.

    python3 run.py                      on the accelerator: 1024 pixels, 50 steps
    python3 run.py --cpu --size 128 --steps 2
    python3 run.py --work DIR           where to unpack this, write 11 GB of weights and keep the table

Nothing is fetched. Further arguments go to the rehearsal: --precision, --size, --steps, --seed, --cpu.
"""

import argparse
import importlib.metadata
import os
import shutil
import site
import subprocess
import sys
import tarfile
from pathlib import Path

BUNDLE = Path(__file__).resolve().parent
PARTS = ("ComfyUI", "pack")


def wheels() -> dict:
    """The wheels of this folder by the name of what they install."""
    return {path.name.split("-")[0].replace("_", "-").lower(): path for path in (BUNDLE / "wheels").glob("*.whl")}


def is_installed(name: str) -> bool:
    """Whether this Python has a distribution, in whatever version."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def make_environment(folder: Path) -> Path:
    """An environment that has what this Python has, and from `wheels` what it lacks. Returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", folder], check=True)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip())
    parents = [path for path in (*site.getsitepackages(), site.getusersitepackages()) if Path(path).is_dir()]
    lines = [f"import site; site.addsitedir({path!r})" for path in parents]
    shutil.copy(BUNDLE / "rehearsal_absent.py", packages)
    (packages / "zz_rehearsal.pth").write_text(
        "\n".join([*lines, "import rehearsal_absent; rehearsal_absent.install()"]) + "\n", encoding="utf-8"
    )
    available = wheels()
    missing = [path for name, path in available.items() if name != "pip" and not is_installed(name)]
    pip = [sys.executable, available["pip"] / "pip", "--python", python]
    options = ["--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    print("Installing here:", ", ".join(sorted(path.name.split("-")[0] for path in missing)), flush=True)
    if missing:
        subprocess.run([*pip, "install", *options, *missing], check=True)
    return python


def main() -> int:
    """Unpack, make the environment, rehearse; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), default=BUNDLE / "work")
    options, more = parser.parse_known_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if not (options.work / part).is_dir():
            with tarfile.open(BUNDLE / f"{part}.tar.xz") as archive:
                archive.extractall(options.work / part, filter="data")
    python = make_environment(options.work / "environment")
    command = [python, options.work / "pack" / "lab", "rehearsal", "--models", options.work / "models"]
    places = {"COMFYUI_PATH": str(options.work / "ComfyUI"), "PYTHONUNBUFFERED": "1"}
    if "--output" not in more:
        more += ["--output", str(options.work / "results")]
    return subprocess.run([*command, *more], env={**os.environ, **places}).returncode


if __name__ == "__main__":
    sys.exit(main())

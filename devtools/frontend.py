"""The newest frontend that the pack was tried with, newer than the one that the host pins; for the browser's tests."""

import sys
from pathlib import Path

from devtools.cache import ensure
from devtools.environment import find_uv
from devtools.processes import must

PACKAGE, VERSION = "comfyui-frontend-package", "1.58.1"


def newest_frontend() -> Path:
    """The folder that a host serves as its frontend, by --front-end-root."""
    folder = ensure(f"frontend-{VERSION}", f"ComfyUI's frontend {VERSION}", _install)
    return folder / "comfyui_frontend_package" / "static"


def _install(folder: Path) -> None:
    installer = [*find_uv(), "pip"] if find_uv() else [sys.executable, "-m", "pip"]
    must(*installer, "install", "--no-deps", "--target", folder, f"{PACKAGE}=={VERSION}")

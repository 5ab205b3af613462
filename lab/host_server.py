"""A host of the lab's own: devtools' server on the stand-ins, with the pocket world's faces beside them.

devtools is loaded by its file: the checkout's root must not stand on sys.path.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PACKS = {
    "ComfyUI-CustomEnhancer": CHECKOUT,
    "customenhancer_test_support": CHECKOUT / "tests" / "support_pack",
}


def load_package(name: str) -> None:
    """Make a package of the checkout's root importable by its name: devtools, fleet."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, CHECKOUT / name / "__init__.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def load_devtools() -> None:
    """Make the checkout's devtools importable, and what they use, in the place of packages of those names."""
    load_package("fleet")
    load_package("devtools")


def server(base: Path, models: Path, log: Path, packs=PACKS, comfyui: Path | None = None, **more):
    """A devtools Server, to be entered by `with`, on the host that COMFYUI_PATH names or another copy of it."""
    load_devtools()
    from devtools.server import Server

    comfyui = comfyui or Path(os.environ["COMFYUI_PATH"])
    return Server(base, comfyui=comfyui, models=models, packs=packs, log=log, **more)


def end_well() -> None:
    """Let SIGTERM end this process as an exception does: the host it has started must not stay behind."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def free_port() -> int:
    """A port on which nobody listens."""
    load_devtools()
    from devtools.server import free_port

    return free_port()


def joined_models(standins: Path, pocket: Path, folder: Path) -> Path:
    """A models folder of the stand-ins and the pocket world's faces beside them.

    Those are the packs `pocket` (buffalo_l's recogniser) and `pocket_antelopev2`, and `pocket_inswapper.onnx`.
    """
    load_devtools()
    from devtools.models import put

    for source in standins.rglob("*"):
        if source.is_file() and source.suffix != ".json":
            put(source, folder / source.relative_to(standins))
    for pack, name in (("buffalo_l", "pocket"), ("antelopev2", "pocket_antelopev2")):
        for source in (pocket / "insightface" / "models" / pack).iterdir():
            put(source, folder / "insightface" / "models" / name / source.name)
    put(pocket / "insightface" / "inswapper_128.onnx", folder / "insightface" / "pocket_inswapper.onnx")
    return folder

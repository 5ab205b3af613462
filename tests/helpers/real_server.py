"""Starts a real server."""

import sys
from pathlib import Path

import dev  # loaded by conftest.py, as is devtools
from devtools.models import standins
from devtools.server import Server
from helpers.paths import HOST, THIRD_PARTY_PACK


def start_server(
    base: Path, models: Path | None = None, cpu: bool = True, frontend: Path | None = None, **more_packs: Path
) -> Server:
    """A server with this pack, the test support and a third party's pack, on the stand-in models or others.

    cpu: no accelerator. frontend: what it serves in place of the host's own. more_packs: further packs by the name of
    their folder.
    """
    packs = {**dev.PACKS, "third_party_pack": THIRD_PARTY_PACK, **more_packs}
    models = models or standins(Path(sys.executable), HOST)
    server = Server(base, comfyui=HOST, models=models, packs=packs, log=base / "comfyui.log", cpu=cpu)
    server.command += ["--front-end-root", frontend] if frontend else []
    return server

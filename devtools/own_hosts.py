"""A host that is started for the fleet, for the length of a `with` block."""

import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devtools.server import Server


@contextlib.contextmanager
def own_hosts(ray: bool, **parts) -> Iterator[list]:
    """The fleet's options that name a ComfyUI started for it; with ray, those by which its hosts start theirs.

    parts: Server's arguments but base and log. Raises SetupError as Server does.
    """
    with tempfile.TemporaryDirectory(prefix="customenhancer-", ignore_cleanup_errors=True) as base:
        server = Server(Path(base), log=Path(base, "comfyui.log"), **parts)
        if ray:
            server.fill()
            words = shlex.join(map(str, server.arguments))
            yield ["--comfyui", server.comfyui, "--comfyui-arguments", words]
            return
        with server:
            yield ["--hosts", server.url]

"""What a host says on its websocket while it works: for the eye, and as a sign of life. Nothing depends on it."""

import json
import threading
from collections.abc import Callable

PAUSE = 5.0  # seconds until a connection that broke is tried again


class ProgressSocket(threading.Thread):
    """Tells `heard(job id, words)` of each step of a host's jobs, until `close`. Silent without websocket-client."""

    def __init__(self, address: str, heard: Callable[[str, str], None]):
        super().__init__(name=f"progress at {address}", daemon=True)
        self._address, self._heard = address, heard
        self._closed = threading.Event()

    def close(self) -> None:
        """End soon."""
        self._closed.set()

    def run(self) -> None:
        """Listen; after a break again."""
        try:
            import websocket
        except ImportError:
            return
        while not self._closed.is_set():
            try:
                socket = websocket.create_connection(self._address, timeout=2, http_no_proxy=["*"])
                try:
                    self._listen(socket, websocket.WebSocketTimeoutException)
                finally:
                    socket.close()
            except (OSError, ValueError, websocket.WebSocketException):
                self._closed.wait(PAUSE)

    def _listen(self, socket, silence: type[Exception]) -> None:
        while not self._closed.is_set():
            try:
                message = socket.recv()
            except silence:
                continue
            if not isinstance(message, str):
                continue  # a preview picture
            event = json.loads(message)
            data = event.get("data") or {}
            if event.get("type") in ("progress", "executing") and data.get("prompt_id"):
                value, of = data.get("value"), data.get("max")
                self._heard(data["prompt_id"], f"{value}/{of}" if of else "")

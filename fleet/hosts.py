"""Where the hosts come from: a list of addresses, a file of them that may change, or a Ray cluster."""

import contextlib
from pathlib import Path
from typing import Protocol

from .errors import FleetError
from .host_api import Host, HttpHost

DEFAULT = "http://127.0.0.1:8188"


class HostSource(Protocol):
    """Tells which hosts there are."""

    def current(self) -> dict[str, Host]:
        """The hosts by name, now. One that is there again is the same object."""

    def close(self) -> None:
        """Let go of what was started."""


class Addresses:
    """Hosts that run already. text: addresses with commas between them, or the name of a file with one on each line.

    The file is read again whenever it is asked, so hosts join and leave by a line of it. Raises FleetError.
    """

    def __init__(self, text: str):
        self._file = None if "://" in text else Path(text)
        self._text = text.replace(",", "\n")
        self._known: dict[str, Host] = {}
        self._known = self._read()
        if not self._known:
            raise FleetError(f"--hosts {text}: names no host")

    def current(self) -> dict[str, Host]:
        """See HostSource. During a run a file that cannot be read, or has a half-written line, changes nothing."""
        with contextlib.suppress(FleetError):
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, Host]:
        text = self._text
        if self._file:
            try:
                text = self._file.read_text(encoding="utf-8-sig")
            except (OSError, ValueError) as error:
                raise FleetError(f"--hosts {self._file}: cannot be read: {error}") from error
        addresses = [line.split("#")[0].strip().rstrip("/") for line in text.splitlines()]
        found = {}
        for address in filter(None, addresses):
            if not address.startswith(("http://", "https://")):
                raise FleetError(f"--hosts: {address} is no address as {DEFAULT}")
            found[address] = self._known.get(address) or HttpHost(address)
        return found

    def close(self) -> None:
        """See HostSource."""

"""A ComfyUI as the fleet needs it: give it a job, ask how the job stands, fetch what came of it.

Every answer comes from a question of ours; nothing that a host only says once is relied on.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Protocol

from .errors import HostGone, JobRefused

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "in_progress", "completed", "failed", "cancelled"
PATIENCE = 30  # seconds for one answer
UNKNOWN_VALUES = {"value_not_in_list", "missing_node_type", "invalid_prompt"}


@dataclass(frozen=True)
class JobState:
    """How a job stands on a host. status: one of the above. outputs: {node id: {kind: items}}, once completed.

    error: of the node that failed, as the host tells it, else None. seconds: of its execution, once it has ended.
    """

    status: str
    outputs: dict = field(default_factory=dict)
    error: dict | None = None
    seconds: float | None = None


class Host(Protocol):
    """What the fleet asks of a host. All methods raise HostGone where the host does not answer as one does."""

    name: str
    progress_address: str | None  # of the websocket that tells of the jobs' steps, if it can be reached from here

    def submit(self, job_id: str, graph: dict) -> None:
        """Queue a graph under the job's id, as a whole or not at all. Raises JobRefused."""

    def state(self, job_id: str) -> JobState | None:
        """How a job stands; None if the host does not know it."""

    def cancel(self, job_id: str) -> None:
        """Take a job out of the queue, or interrupt it."""

    def forget(self, job_id: str) -> None:
        """Strike a job that has ended from the history, where it hides a later one of the same id."""

    def has_input(self, name: str, size: int) -> bool:
        """Whether a file of so many bytes is in the host's input folder. name: with its subfolder, "fleet/1a2b.png"."""

    def upload(self, name: str, content: bytes) -> None:
        """Put a file into the host's input folder. Raises JobRefused where the host does not take it."""

    def fetch(self, file: dict) -> bytes | None:
        """The bytes of a file that a node put out: filename, subfolder and type. None if it is there no more."""


class HttpHost:
    """The ComfyUI at `url`, as http://127.0.0.1:8188. patience: seconds that one answer may take."""

    def __init__(self, url: str, patience: float = PATIENCE):
        self.name = self.url = url.rstrip("/")
        self._client_id = uuid.uuid4().hex
        self.progress_address = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self._client_id}"
        self._patience = patience
        # No proxy leads to a host of one's own.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def submit(self, job_id: str, graph: dict) -> None:
        """See Host."""
        content = {"prompt": graph, "prompt_id": job_id, "client_id": self._client_id}
        status, body = self._ask("/prompt", json.dumps(content).encode(), {"Content-Type": "application/json"})
        if status not in (200, 400):  # a proxy, a password, a limit of size: not the job's fault
            raise HostGone(f"{self.name}: answers HTTP {status}")
        answer = _parsed(self.url, body)
        if status == 200 and not answer.get("node_errors"):
            return
        if status == 200:  # the rest of the graph is queued, or being made
            self.cancel(job_id)
        raise _refusal(answer, graph)

    def state(self, job_id: str) -> JobState | None:
        """See Host."""
        status, body = self._ask(f"/api/jobs/{job_id}")
        if status == 404:
            return None
        if status != 200:
            raise HostGone(f"{self.name}: answers HTTP {status}")
        found = _parsed(self.url, body)
        start, end = found.get("execution_start_time"), found.get("execution_end_time")
        return JobState(
            status=found.get("status", ""),
            outputs=found.get("outputs") or {},
            error=found.get("execution_error"),
            seconds=(end - start) / 1000 if start and end else None,
        )

    def cancel(self, job_id: str) -> None:
        """See Host."""
        self._ask(f"/api/jobs/{job_id}/cancel", b"")

    def forget(self, job_id: str) -> None:
        """See Host."""
        self._ask("/history", json.dumps({"delete": [job_id]}).encode(), {"Content-Type": "application/json"})

    def has_input(self, name: str, size: int) -> bool:
        """See Host."""
        request = urllib.request.Request(f"{self.url}/view?{urllib.parse.urlencode(_place(name))}", method="HEAD")
        status, length, _ = self._answer(request)
        return status == 200 and length == str(size)

    def upload(self, name: str, content: bytes) -> None:
        """See Host."""
        place, boundary = _place(name), uuid.uuid4().hex
        fields = {"overwrite": "true", "type": "input", "subfolder": place["subfolder"]}
        data = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
            for field, value in fields.items()
        )
        head = f'Content-Disposition: form-data; name="image"; filename="{place["filename"]}"'
        data += f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode() + content
        data += f"\r\n--{boundary}--\r\n".encode()
        status, body = self._ask("/upload/image", data, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        if status in (400, 413):
            told = f"{self.name} does not take the picture {name}: HTTP {status} {body[:200]!r}"
            raise JobRefused(told, elsewhere=True)
        if status != 200:
            raise HostGone(f"{self.name}: answers HTTP {status}")

    def fetch(self, file: dict) -> bytes | None:
        """See Host."""
        place = {name: file.get(name, "") for name in ("filename", "subfolder", "type")}
        status, body = self._ask(f"/view?{urllib.parse.urlencode(place)}")
        if status not in (200, 404):
            raise HostGone(f"{self.name}: answers HTTP {status}")
        return body if status == 200 else None

    def _ask(self, path: str, data: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        """Status and body of an answer below 500. Raises HostGone for any other, and for none."""
        status, _, body = self._answer(urllib.request.Request(self.url + path, data, headers or {}))
        return status, body

    def _answer(self, request: urllib.request.Request) -> tuple[int, str | None, bytes]:
        """Status, Content-Length and body, likewise."""
        try:
            with self._open(request) as response:
                status, length, body = response.status, response.headers["Content-Length"], response.read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise HostGone(f"{self.name}: does not answer: {reason}") from error
        if status >= 500:
            raise HostGone(f"{self.name}: answers HTTP {status}")
        return status, length, body

    def _open(self, request: urllib.request.Request):
        """The response, whatever its status."""
        try:
            return self._opener.open(request, timeout=self._patience)
        except urllib.error.HTTPError as error:
            return error


def _place(name: str) -> dict:
    """A file of the input folder as /view and /upload/image name it."""
    subfolder, _, filename = name.rpartition("/")
    return {"filename": filename, "subfolder": subfolder, "type": "input"}


def _parsed(url: str, body: bytes) -> dict:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise HostGone(f"{url}: answers as no ComfyUI does: {body[:80]!r}")
    return answer


def _refusal(answer: dict, graph: dict) -> JobRefused:
    """What a host says against a graph, node by node, as an exception."""
    told, kinds = [], []
    for node_id, found in (answer.get("node_errors") or {}).items():
        name = graph.get(node_id, {}).get("_meta", {}).get("title") or found.get("class_type", "")
        for error in found.get("errors", []):
            told.append(f"{name} ({node_id}): {error.get('message', '')}: {error.get('details', '')}")
            kinds.append(error.get("type"))
    if not told:
        error = answer.get("error")
        error = error if isinstance(error, dict) else {"message": str(error)}
        told.append(": ".join(filter(None, [error.get("message"), str(error.get("details") or "")])))
        kinds.append(error.get("type"))
    return JobRefused("; ".join(told), elsewhere=bool(kinds) and set(kinds) <= UNKNOWN_VALUES)

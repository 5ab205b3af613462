"""A client of a running host: submits one API prompt and says all that came of it. No answer is an exception."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

PATIENCE = 20  # seconds that a prompt has to end once it was interrupted


@dataclass
class Answer:
    """What came of one prompt.

    status: of the HTTP reply, 0 where there was none. node_errors: of the validation. error: the execution_error, if
    any. ended: "done", "refused", "error", "interrupted" (after the time limit), "hang" (deaf to that) or "dead".
    outputs: as in /history. seconds: from submission to the end.
    """

    ended: str
    status: int = 200
    body: str = ""
    node_errors: dict = field(default_factory=dict)
    error: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    seconds: float = 0.0

    def text(self, node_id: str) -> list[str]:
        """What a node showed as text: one item for each time that it ran; [] where it never did."""
        return list(self.outputs.get(node_id, {}).get("text", ()))


class Client:
    """The host at `url`. limit: seconds that a prompt may take before it is interrupted.

    worker_is_dead: asked once a second while a prompt runs, since a host without its worker still answers.
    """

    def __init__(self, url: str, limit: float = 60, worker_is_dead: Callable[[], bool] = lambda: False):
        self.url, self.limit, self._worker_is_dead = url, limit, worker_is_dead
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # no proxy leads to it

    def get_json(self, path: str):
        """The parsed JSON of a GET request. Raises OSError where the host does not answer."""
        with self._open(self.url + path, timeout=30) as reply:
            return json.load(reply)

    def post(self, path: str, body: dict) -> None:
        """Send JSON and ignore the reply."""
        data = json.dumps(body).encode()
        self._open(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}), timeout=30)

    def upload(self, name: str, png: bytes) -> None:
        """Put a picture into the host's input folder."""
        edge = "customenhancer"
        data = (
            f'--{edge}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{edge}\r\n'
            f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
        ).encode() + png + f"\r\n--{edge}--\r\n".encode()  # fmt: skip
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        self._open(urllib.request.Request(f"{self.url}/upload/image", data, headers), timeout=30)

    def run(self, graph: dict, wait: bool = True) -> Answer:
        """Submit an API prompt and follow it to its end; without `wait`, leave it running."""
        started = time.monotonic()
        data = json.dumps({"prompt": graph}).encode()
        try:
            with self._open(f"{self.url}/prompt", data, timeout=60) as reply:
                body = json.load(reply)
        except urllib.error.HTTPError as error:
            return _refused(error.code, error.read().decode("utf-8", "replace"))
        except OSError as error:
            return Answer("dead", 0, str(error))
        answer = Answer("done", node_errors=body.get("node_errors") or {}, body=body["prompt_id"])
        if wait:
            self._follow(body["prompt_id"], answer, started)
        answer.seconds = time.monotonic() - started
        return answer

    def _follow(self, prompt_id: str, answer: Answer, started: float) -> None:
        pause, interrupted, looked = 0.004, None, started
        while True:
            try:
                entry = self.get_json(f"/history/{prompt_id}").get(prompt_id)
            except (OSError, ValueError) as error:
                answer.ended, answer.body = "dead", str(error)
                return
            if entry:
                _read(entry, answer)
                if interrupted and not answer.error:
                    answer.ended = "interrupted"
                return
            now = time.monotonic()
            if now - looked > 1:
                looked = now
                if self._worker_is_dead():
                    answer.ended, answer.body = "dead", "an exception has ended the host's worker thread"
                    return
            if interrupted is None and now - started > self.limit:
                self.post("/interrupt", {})
                interrupted = now
            if interrupted and now - interrupted > PATIENCE:
                answer.ended = "hang"
                return
            time.sleep(pause)
            pause = min(pause * 1.3, 0.1)


def _refused(status: int, text: str) -> Answer:
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Answer("refused", status, text, node_errors=body.get("node_errors") or {})


def _read(entry: dict, answer: Answer) -> None:
    """Take over an entry of the host's history."""
    answer.outputs = entry["outputs"]
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            answer.ended, answer.error = "error", data
        elif kind == "execution_interrupted":
            answer.ended = "interrupted"

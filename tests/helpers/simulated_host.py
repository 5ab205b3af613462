"""A host that is none: it speaks ComfyUI's routes as far as the fleet uses them, and misbehaves when told to."""

import contextlib
import http.server
import json
import threading
import urllib.parse
from dataclasses import dataclass, field


@dataclass
class SimulatedComfyUI:
    """Executes jobs one after the other, each when `step` is called or, if `automatic`, when it is asked about.

    received: (job id, graph) of each job taken. uploaded: names in its input folder. answers: HTTP status for the next
    answers, in place of the right ones; (route's beginning, status) for the next of a route. silent: seconds until each
    answer. refuse, fail: (graph) -> what is wrong with it, or None. hang: jobs stay in progress, cancelled or not.
    """

    automatic: bool = True
    received: list = field(default_factory=list)
    uploaded: dict = field(default_factory=dict)
    answers: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)
    silent: float = 0.0
    refuse: object = lambda graph: None
    fail: object = lambda graph: None
    hang: bool = False
    wrong_upload: int | None = None  # HTTP status
    most: int = 0  # jobs that it had at a time

    def __post_init__(self):
        self.queue: dict[str, dict] = {}
        self.history: dict[str, dict] = {}
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def serve(self):
        """Its address, while it answers."""
        handler = type("Handler", (_Handler,), {"host": self})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()

    def forget(self):
        """As after a restart."""
        with self.lock:
            self.queue.clear()
            self.history.clear()

    def wrong_status(self, path):
        """The HTTP status to answer with in place of the right one, None for the right one."""
        if not self.answers:
            return None
        route, status = self.answers[0] if isinstance(self.answers[0], tuple) else ("", self.answers[0])
        if not path.startswith(route):
            return None
        del self.answers[0]
        return status

    def step(self):
        """Execute the first job of the queue."""
        with self.lock:
            if self.queue:
                job_id, graph = next(iter(self.queue.items()))
                del self.queue[job_id]
                self.history[job_id] = self._ended(graph)

    def _ended(self, graph):
        ended = {"execution_start_time": 1000, "execution_end_time": 1500}
        if wrong := self.fail(graph):
            return {"status": "failed", "execution_error": wrong, **ended}
        saved = {"filename": f"ComfyUI_{len(self.history):05d}_.png", "subfolder": "", "type": "output"}
        return {"status": "completed", "outputs": {"save": {"images": [saved]}}, **ended}

    def state(self, job_id):
        """What /api/jobs tells of a job."""
        if self.automatic and not self.hang:
            self.step()
        with self.lock:
            if job_id in self.history:  # first, as in ComfyUI
                return self.history[job_id]
            if job_id in self.queue:
                return {"status": "in_progress" if job_id == next(iter(self.queue)) else "pending"}
            return None

    def submit(self, content):
        """(status, answer) of /prompt."""
        graph, job_id = content["prompt"], content["prompt_id"]
        if wrong := self.refuse(graph):
            errors = {"set": {"class_type": "Set", "errors": [wrong]}}
            return 400, {"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": errors}
        with self.lock:
            self.received.append((job_id, graph))
            self.queue[job_id] = graph
            self.most = max(self.most, len(self.queue))
        return 200, {"prompt_id": job_id, "node_errors": {}}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _answer(self, status, content=b""):
        if self.host.silent:
            threading.Event().wait(self.host.silent)
        if (wrong := self.host.wrong_status(self.path)) is not None:
            status, content = wrong, b"{}"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        found = self.host.uploaded.get(f"{query['subfolder']}/{query['filename']}")
        self._answer(404 if found is None else 200, found or b"")

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/api/jobs/"):
            found = self.host.state(path.rsplit("/", 1)[1])
            self._answer(404 if found is None else 200, found or {})
        elif path == "/view":
            self._answer(200, f"a picture, {self.path}".encode())
        else:
            self._answer(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/prompt":
            self._answer(*self.host.submit(json.loads(body)))
        elif self.path == "/upload/image" and self.host.wrong_upload:
            self._answer(self.host.wrong_upload, b"too large")
        elif self.path == "/upload/image":
            name = body.split(b'filename="')[1].split(b'"')[0].decode()
            self.host.uploaded[f"fleet/{name}"] = body.split(b"octet-stream\r\n\r\n")[1].rsplit(b"\r\n--", 1)[0]
            self._answer(200, {"name": name})
        elif self.path == "/history":
            for job_id in json.loads(body)["delete"]:
                self.host.history.pop(job_id, None)
            self._answer(200)
        else:
            job_id = self.path.split("/")[3]
            self.host.cancelled.append(job_id)
            with self.host.lock:
                running = next(iter(self.host.queue), None) == job_id
                if job_id in self.host.queue and not (running and self.host.hang):
                    del self.host.queue[job_id]
                    if running:
                        self.host.history[job_id] = {"status": "cancelled"}
            self._answer(200, {"cancelled": True})

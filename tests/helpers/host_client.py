"""A client of a running ComfyUI: submits API prompts over HTTP and follows them over the websocket."""

import contextlib
import http.client
import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field

import websocket
from PIL import Image


class PromptError(Exception):
    """The host refused or failed a prompt. `details` is what it sent: validation errors or an execution_error."""

    def __init__(self, message: str, details: dict):
        super().__init__(message)
        self.details = details


class HostGone(ConnectionError):
    """The host cannot be reached any more, or has closed the connection."""


@contextlib.contextmanager
def reaching(url: str):
    """Raise HostGone in place of what the libraries raise when the host at `url` dies."""
    try:
        yield
    except urllib.error.HTTPError:
        raise  # an answer
    except (OSError, http.client.HTTPException, websocket.WebSocketException) as error:
        raise HostGone(f"the connection to ComfyUI at {url} is lost: {error}") from error


@dataclass
class Run:
    """What came of one prompt: outputs as in /history, and the seconds that each node took, by node id."""

    prompt_id: str
    outputs: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)


class Host:
    """The host at `url`, for example http://127.0.0.1:8188."""

    def __init__(self, url: str):
        self.url = url
        self.client_id = uuid.uuid4().hex
        # No proxy leads to a server of one's own.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def get(self, path: str, **query) -> bytes:
        """The body of a GET request."""
        address = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with reaching(self.url), self._open(address, timeout=60) as response:
            return response.read()

    def get_json(self, path: str, **query):
        """The parsed JSON of a GET request."""
        return json.loads(self.get(path, **query))

    def upload(self, name: str, picture: Image.Image) -> str:
        """Put a picture into the host's input folder. Returns the name that LoadImage knows it by."""
        body = io.BytesIO()
        picture.save(body, "PNG")
        boundary = uuid.uuid4().hex
        data = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode() + body.getvalue() + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        request = urllib.request.Request(f"{self.url}/upload/image", data, headers)
        with reaching(self.url), self._open(request, timeout=60) as response:
            return json.load(response)["name"]

    def picture(self, image: dict) -> Image.Image:
        """A picture that a node put out: image has filename, subfolder and type, as in a Run's outputs."""
        return Image.open(io.BytesIO(self.get("/view", **image))).convert("RGB")

    def run(self, prompt: dict, on_progress=lambda title, value, maximum: None, timeout: float = 600) -> Run:
        """Submit an API prompt and wait for it. on_progress(node title, value, maximum) is called on the way.

        Raises PromptError where the host refuses the prompt or any part of it, or a node fails, and HostGone where the
        host dies, or says nothing for `timeout` seconds.
        """
        address = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.client_id}"
        with reaching(self.url):
            socket = websocket.create_connection(address, timeout=timeout, http_no_proxy=["*"])
            try:
                run = Run(self._submit(prompt))
                self._follow(socket, run, prompt, on_progress)
            finally:
                socket.close()
        run.outputs = self.get_json(f"/history/{run.prompt_id}")[run.prompt_id]["outputs"]
        return run

    def _submit(self, prompt: dict) -> str:
        body = json.dumps({"prompt": prompt, "client_id": self.client_id}).encode()
        try:
            with self._open(f"{self.url}/prompt", body, timeout=60) as response:
                reply = json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            try:
                details = json.loads(text)
            except json.JSONDecodeError:
                details = {}
            raise PromptError(f"the host refused the prompt: {text}", details) from None
        if reply["node_errors"]:  # the host runs what is left of it, and says nothing more of the rest
            raise PromptError(f"the host refused a part of the prompt: {json.dumps(reply['node_errors'])}", reply)
        return reply["prompt_id"]

    @staticmethod
    def _follow(socket, run: Run, prompt: dict, on_progress) -> None:
        node, since = None, time.perf_counter()
        while True:
            message = socket.recv()
            if not isinstance(message, str):
                continue  # a preview picture
            event = json.loads(message)
            kind, data = event["type"], event["data"]
            if data.get("prompt_id") != run.prompt_id:
                continue
            if kind == "execution_error":
                text = f"{data['node_type']} ({data['node_id']}): {data['exception_message'].strip()}"
                raise PromptError(text, data)
            if kind == "execution_interrupted":
                raise PromptError("the prompt was interrupted", data)
            if kind == "progress":
                on_progress(prompt[data["node"]]["_meta"]["title"], data["value"], data["max"])
            if kind == "executing":
                now = time.perf_counter()
                if node is not None:
                    run.seconds[node] = now - since
                node, since = data["node"], now
                if node is None:
                    return
                on_progress(prompt[node]["_meta"]["title"], 0, 1)


def find(prompt: dict, class_type: str) -> str:
    """The id of the one node of a class in an API prompt."""
    (node_id,) = [node_id for node_id, node in prompt.items() if node["class_type"] == class_type]
    return node_id


def find_title(prompt: dict, title: str) -> str:
    """The id of the one node with a title."""
    (node_id,) = [node_id for node_id, node in prompt.items() if node["_meta"]["title"] == title]
    return node_id

"""Run a workflow in a running ComfyUI, once for each photo and each seed, and fetch its pictures.

    python api_examples/run_workflow.py workflows/api/customenhancer_photomaker_v2.json --photo friend.jpg \
        --set "Prompt.text=a photo of a man img in a library" --output pictures

It needs nothing but Python, and asks the server every second how the job stands. run_workflow_websocket.py does the
same with the server's own messages, which tell of each node and each step.
"""

import argparse
import itertools
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path


def call(server: str, path: str, content: dict | None = None) -> dict:
    """GET a path, or POST content to it. Returns what the server answers, even if it refuses what it was sent (400)."""
    data = None if content is None else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{server}{path}", data), timeout=60) as response:
            return json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        if error.code != 400:
            raise
        return json.loads(error.read())


def upload(server: str, picture: Path) -> str:
    """Put a picture into the server's input folder. Returns the name that Load Image knows it by.

    That is another one where a different picture has the name already: the server replaces none.
    """
    boundary, name = uuid.uuid4().hex, picture.name.replace('"', "'")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    data = head.encode() + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{server}/upload/image", data, headers), timeout=60
    ) as response:
        return json.loads(response.read())["name"]


def set_input(prompt: dict, title: str, name: str, value) -> None:
    """Set an input of the one node with this title. Raises ValueError where node or input is not to be found."""
    found = [node for node in prompt.values() if node["_meta"]["title"] == title]
    if len(found) != 1:
        titles = ", ".join(sorted({node["_meta"]["title"] for node in prompt.values()}))
        raise ValueError(f"{len(found)} nodes are titled {title!r}. The titles are: {titles}")
    inputs = found[0]["inputs"]
    if name not in inputs:
        raise ValueError(f"{title!r} has no input {name!r}. Its inputs are: {', '.join(inputs)}")
    inputs[name] = value


def submit(server: str, prompt: dict, prompt_id: str) -> None:
    """Queue a prompt as a whole, or not at all: raises ValueError with each node that the server refuses, and why.

    prompt_id: a new UUID. It is the name of the job, and here also that of the websocket which hears of it.
    """
    answer = call(server, "/prompt", {"prompt": prompt, "prompt_id": prompt_id, "client_id": prompt_id})
    refused = [
        f"{prompt[node]['_meta']['title']} ({node}): {error['message']}: {error['details']}"
        for node, found in answer["node_errors"].items()
        for error in found["errors"]
    ]
    if "error" in answer and not refused:
        refused = [f"{answer['error']['message']}: {answer['error']['details']}"]
    if refused:
        cancel(server, prompt_id)  # the outputs that do not depend on those nodes are queued, or being made
        raise ValueError("\n".join(refused))


def cancel(server: str, prompt_id: str) -> None:
    """Take a job out of the queue, or interrupt it if it has begun."""
    call(server, "/queue", {"delete": [prompt_id]})
    for seconds in (0.2, 0):  # ComfyUI forgets an interrupt that comes while the job begins
        call(server, "/interrupt", {"prompt_id": prompt_id})
        time.sleep(seconds)


def job(server: str, prompt_id: str) -> dict:
    """How a job stands: its `status`, and when it has ended its `outputs` or its `execution_error`."""
    try:
        return call(server, f"/api/jobs/{prompt_id}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        raise RuntimeError("the server does not know the job: it was restarted, or the job was deleted") from None


def wait(server: str, prompt_id: str, seconds: float = 1.0) -> dict:
    """Wait until a job has ended, asking every so many seconds. Returns its outputs by node id.

    Raises RuntimeError where a node failed, where somebody cancelled the job, and where the server has forgotten it.
    """
    began = time.monotonic()
    while (found := job(server, prompt_id))["status"] in ("pending", "in_progress"):
        told = {"pending": "waiting for other jobs", "in_progress": "running"}[found["status"]]
        print(f"\r{told}, {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)
        time.sleep(seconds)
    print(file=sys.stderr)
    if found["status"] == "failed":
        error = found["execution_error"]
        raise RuntimeError(f"{error['node_type']} ({error['node_id']}): {error['exception_message'].strip()}")
    if found["status"] == "cancelled":
        raise RuntimeError("the job was cancelled")
    return found["outputs"]


def fetch(server: str, outputs: dict, folder: Path, prefix: str = "") -> list[Path]:
    """Write the pictures that a job saved into a folder, their names after the prefix. Previews stay on the server."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [picture for output in outputs.values() for picture in output.get("images", [])]
    paths = []
    for picture in pictures:
        if picture["type"] == "output":
            with urllib.request.urlopen(f"{server}/view?{urllib.parse.urlencode(picture)}", timeout=60) as response:
                paths.append(folder / (prefix + Path(picture["filename"]).name))
                paths[-1].write_bytes(response.read())
    return paths


def run(server: str, prompt: dict) -> dict:
    """Run a prompt. Returns its outputs by node id. Ctrl-C ends it on the server too."""
    prompt_id = str(uuid.uuid4())
    try:
        submit(server, prompt, prompt_id)
        return wait(server, prompt_id)
    except KeyboardInterrupt:
        cancel(server, prompt_id)
        raise


def read_setting(text: str) -> tuple[str, str, str]:
    """Title, input and value of TITLE.INPUT=VALUE."""
    where, equals, value = text.partition("=")
    title, dot, name = where.rpartition(".")
    if not (equals and dot):
        raise ValueError(f"{text!r} is not TITLE.INPUT=VALUE")
    return title, name, value


def read_value(text: str):
    """A number, true, false, or any other JSON as such; what is no JSON as text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def run_jobs(arguments: argparse.Namespace, run) -> bool:
    """Run the workflow for each photo and seed, those after a job that fails too. Returns whether none failed."""
    server, prompt = arguments.server.rstrip("/"), json.loads(arguments.workflow.read_text(encoding="utf-8"))
    if "nodes" in prompt:
        raise ValueError(f"{arguments.workflow} is for the browser. Its twin for programs is in workflows/api/")
    for title, name, value in map(read_setting, arguments.set):
        set_input(prompt, title, name, read_value(value))
    for title, name, file in map(read_setting, arguments.upload):
        set_input(prompt, title, name, upload(server, Path(file)))
    well = True
    for photo, seed in itertools.product(arguments.photo or [None], arguments.seed or [None]):
        if photo is not None:
            set_input(prompt, "Reference person", "image", upload(server, photo))
        if seed is not None:
            set_input(prompt, "Seed of the scene", "noise_seed", seed)
        prefix = "".join(f"{part}_" for part in (photo and photo.stem, seed) if part is not None)
        try:
            for path in fetch(server, run(server, prompt), arguments.output, prefix):
                print(path, flush=True)
        except RuntimeError as error:
            well = False
            print(prefix.rstrip("_"), error, file=sys.stderr)
    return well


def main(run=run) -> None:
    """Read the command line and run what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workflow", type=Path, help="a file of workflows/api/, or any other in ComfyUI's API format")
    parser.add_argument("--photo", type=Path, nargs="+", help="for Reference person; a job for each")
    parser.add_argument("--seed", type=int, nargs="+", help="for Seed of the scene; a job for each")
    parser.add_argument("--set", action="append", default=[], metavar="TITLE.INPUT=VALUE", help="set any input")
    parser.add_argument("--upload", action="append", default=[], metavar="TITLE.INPUT=FILE", help="set any picture")
    parser.add_argument("--output", type=Path, default=Path("pictures"), help="the folder for the pictures")
    parser.add_argument("--server", default="http://127.0.0.1:8188", help="ComfyUI's address")
    try:
        sys.exit(0 if run_jobs(parser.parse_args(), run) else 1)
    except KeyboardInterrupt:
        sys.exit("\ncancelled")
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

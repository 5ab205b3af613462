"""Run a workflow as run_workflow.py does, and show what the server says meanwhile: which node runs, at which step.

It has the same options, and needs `pip install websocket-client` and run_workflow.py beside it. What becomes of the job
is still asked over HTTP: messages may be lost, and a websocket may fall silent.
"""

import contextlib
import json
import sys
import uuid

import websocket
from run_workflow import cancel, job, main, submit, wait


def show(socket: websocket.WebSocket, server: str, prompt: dict, prompt_id: str) -> None:
    """Print what comes over the websocket of a job, until the job has ended or the connection has."""
    title = ""
    while True:
        try:
            message = socket.recv()
        except websocket.WebSocketTimeoutException:
            if job(server, prompt_id)["status"] in ("pending", "in_progress"):
                continue  # nothing to say: it waits for others, or loads a model
            return
        except (websocket.WebSocketException, OSError):
            return
        if isinstance(message, bytes):
            continue  # a preview picture
        event = json.loads(message)
        kind, data = event["type"], event["data"]
        if data.get("prompt_id") != prompt_id:
            continue
        if kind == "execution_cached":
            print(f"{len(data['nodes'])} of {len(prompt)} nodes are as in an earlier job", end="", file=sys.stderr)
        elif kind == "executing" and data["node"] is None:
            return
        elif kind == "executing":
            title = prompt[data["display_node"]]["_meta"]["title"]
            print(f"\n{title}", end="", file=sys.stderr, flush=True)
        elif kind == "progress":
            print(f"\r{title} {data['value']}/{data['max']}", end="", file=sys.stderr, flush=True)


def run(server: str, prompt: dict) -> dict:
    """Run a prompt. Returns its outputs by node id. Ctrl-C ends it on the server too."""
    prompt_id = str(uuid.uuid4())
    address = f"{server.replace('http', 'ws', 1)}/ws?clientId={prompt_id}"  # as submit's client_id
    with contextlib.closing(websocket.create_connection(address, timeout=10)) as socket:
        try:
            submit(server, prompt, prompt_id)
            show(socket, server, prompt, prompt_id)
            return wait(server, prompt_id)
        except KeyboardInterrupt:
            cancel(server, prompt_id)
            raise


if __name__ == "__main__":
    main(run)

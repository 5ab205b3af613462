"""A host to fuzz: started, filled with what the graphs need, and started again where a prompt has ended it."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from fuzz.client import Answer, Client
from fuzz.oracles import loaded, saved
from fuzz.pictures import pictures
from fuzz.producers import CHECKPOINT

DEATHS = ("Exception in thread", "Fatal Python error", "Segmentation fault")


class Session:
    """Use as `with Session(start) as session`. start(log): a context manager that runs a host and has its `url`.

    schema: /object_info, with two saved recordings in it. files: the names of all that was ever saved.
    """

    def __init__(self, start: Callable, folder: Path, limit: float):
        self._start, self.folder, self.limit = start, folder, limit
        self._stack, self.starts = contextlib.ExitStack(), 0
        self.client, self.schema, self.files = None, None, []

    def __enter__(self) -> "Session":
        self._restart()
        for name, png in pictures().items():
            self.client.upload(name, png)
        for answer in map(self.client.run, _recordings()):
            if answer.ended != "done":
                raise RuntimeError(f"the host does not run a plain inversion: {answer.body} {answer.error}")
        self.schema = self.client.get_json("/object_info")
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def _restart(self) -> None:
        self._stack.close()
        self.starts += 1
        self._log = self.folder / f"comfyui-{self.starts}.log"
        server = self._stack.enter_context(self._start(self._log))
        self._read = 0
        self.client = Client(server.url, self.limit, self._worker_is_dead)

    def _worker_is_dead(self) -> bool:
        """Whether the host has logged an exception that ended a thread since the last call."""
        with open(self._log, encoding="utf-8", errors="replace") as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        return any(death in text for death in DEATHS)

    def run(self, graph: dict) -> Answer:
        """Run one prompt; if it has ended the host, the next one gets a new host."""
        answer = self.client.run(graph)
        if answer.ended in ("dead", "hang"):
            self._restart()
        return answer

    def reload(self, graph: dict, answer: Answer) -> list[tuple[str, str, Answer]]:
        """Load what a prompt saved: (node id, file's name, answer) of each. Names are kept in `files`."""
        found = []
        for node_id, name in saved(graph, answer):
            found.append((node_id, name, self.run(loaded(graph[node_id]["class_type"], name))))
        return found


def _recordings() -> list[dict]:
    """Prompts that save a residual noise and a pivot of a small latent, for the load nodes to offer."""

    def node(class_type, **inputs):
        return {"class_type": class_type, "inputs": inputs}

    base = {
        "model": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "text": node("CLIPTextEncode", clip=["model", 1], text="a photo of a man in a library"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="normal", steps=3, denoise=1.0),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "guider": node("CFGGuider", model=["model", 0], positive=["text", 0], negative=["text", 0], cfg=3.0),
        "made": node("CE_ResInversion", guider=["guider", 0], sigmas=["sigmas", 0], latent_image=["latent", 0]),
        "saved": node("CE_SaveResidualNoise", residual_noise=["made", 0], filename_prefix="fuzz/start_residual"),
        "pivot": node("CE_DDIMInversion", guider=["guider", 0], sigmas=["sigmas", 0], latent_image=["latent", 0]),
        "saved_pivot": node("CE_SavePivot", pivot=["pivot", 0], filename_prefix="fuzz/start_pivot"),
    }
    return [base]

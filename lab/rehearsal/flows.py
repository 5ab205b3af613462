"""Run the flows in a host, and gather what each took."""

import json
import time
from pathlib import Path

from helpers.host_client import Host, Run
from helpers.prompts import difference

from devtools.processes import say
from rehearsal import graphs
from rehearsal.graphs import PRECISIONS, Extent
from rehearsal.host import free
from rehearsal.log import loading_reports
from rehearsal.models import faces_can_be_read

LIMIT = 3600  # seconds for one prompt


class Rehearsal:
    """Runs prompts, one after the other, each in a host that has freed its memory."""

    def __init__(self, host: Host, log: Path, extent: Extent):
        self._host, self._log, self._extent = host, log, extent
        self._read_faces = faces_can_be_read()
        self.faces = "InsightFace on stand-ins" if self._read_faces else "given: this machine lacks what reads them"

    def flow(self, name: str) -> dict:
        """Run one of FLOWS."""
        prompt = graphs.flow_prompt(name, self._extent, self._read_faces)
        run, result = self._run(name, prompt)
        patched, latent = (json.loads(run.outputs[node]["text"][0]) for node in (graphs.PATCHED, graphs.LATENT))
        triple = result["nodes"][graphs.find_title(prompt, graphs.TRIPLE)]
        patched["attention layers"] = triple["attention"]
        unet = patched["UNet weights"]
        return {
            **result,
            "patched": patched,
            "latent": latent,
            "error": difference(run, graphs.ERROR),
            "effect": difference(run, graphs.EFFECT),
            "applications": triple["weights"] / unet if unet else None,
        }

    def precisions(self) -> dict:
        """Invert a picture and sample it back in each of PRECISIONS."""
        prompt = graphs.precision_prompt(self._extent)
        run, result = self._run("precisions", prompt)
        errors, moved = (
            {precision: difference(run, f"{node} {precision}") for precision in PRECISIONS}
            for node in (graphs.ERROR, graphs.COMPUTING)
        )
        return {**result, "errors": errors, "moved": moved}

    def _run(self, name: str, prompt: dict) -> tuple[Run, dict]:
        say(f"{name} ...")
        start, logged = time.perf_counter(), self._log.stat().st_size
        run = self._host.run(prompt, timeout=LIMIT)
        seconds = time.perf_counter() - start
        taken = self._host.get_json("/customenhancer_rehearsal/nodes", prompt_id=run.prompt_id)
        nodes = {
            node_id: {**_about(prompt[node_id]), "seconds": run.seconds.get(node_id, 0.0), **each}
            for node_id, each in taken.items()
            if node_id in prompt
        }
        with open(self._log, encoding="utf-8", errors="replace") as log:
            log.seek(logged)
            reports = loading_reports(log.read())
        held = free(self._host)
        say(f"{name}: {seconds:.0f} s")
        return run, {"seconds": seconds, "nodes": nodes, "loading": reports, "held": held}


def _about(node: dict) -> dict[str, str]:
    return {"title": node["_meta"]["title"], "class_type": node["class_type"]}

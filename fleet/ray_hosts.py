"""Hosts on a Ray cluster: an actor for each accelerator, with a ComfyUI of its own, wherever Ray places it.

Ray places the actors, notices when one dies and starts it again. The driver speaks to an actor as to any other host;
what it says goes on, inside the actor's machine, to the ComfyUI there.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from .comfyui import ComfyUI
from .errors import FleetError, HostGone
from .host_api import Host, HttpHost, JobState

ANSWER = 60.0  # seconds for a call to an actor that runs
FIRST_ANSWER = 360.0  # and for one that is being placed, or starts its ComfyUI


class HostActor:
    """What runs in the cluster: keeps a ComfyUI alive and passes on what it is asked.

    comfyui: ComfyUI's folder on this machine. arguments: for its command line.
    """

    def __init__(self, comfyui: str, arguments: Sequence[str]):
        self._comfyui, self._arguments = Path(comfyui), list(arguments)
        self._running: ComfyUI | None = None

    def ask(self, method: str, *arguments):
        """Call a method of host_api.Host on the ComfyUI here, which is started again if it has died."""
        if self._running is None or not self._running.alive():
            self._start()
        return getattr(self._host, method)(*arguments)

    def _start(self) -> None:
        import ray

        devices = ray.get_gpu_ids()
        self._running = ComfyUI(self._comfyui, self._arguments, str(devices[0]) if devices else None)
        self._host = HttpHost(self._running.url)


class RayHost:
    """A HostActor as a host_api.Host. name: the same in every run."""

    progress_address = None  # inside the actor's machine

    def __init__(self, name: str, actor):
        self.name, self._actor, self._answered = name, actor, False

    def _ask(self, method: str, *arguments):
        import ray

        try:
            answer = ray.get(
                self._actor.ask.remote(method, *arguments), timeout=ANSWER if self._answered else FIRST_ANSWER
            )
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error  # JobRefused or HostGone, or a fault of ours
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
            self._answered = False
            raise HostGone(f"{self.name}: Ray says: {str(error).strip().splitlines()[0]}") from error
        self._answered = True
        return answer

    def submit(self, job_id: str, graph: dict) -> None:
        """See Host."""
        self._ask("submit", job_id, graph)

    def state(self, job_id: str) -> JobState | None:
        """See Host."""
        return self._ask("state", job_id)

    def cancel(self, job_id: str) -> None:
        """See Host."""
        self._ask("cancel", job_id)

    def forget(self, job_id: str) -> None:
        """See Host."""
        self._ask("forget", job_id)

    def has_input(self, name: str, size: int) -> bool:
        """See Host."""
        return self._ask("has_input", name, size)

    def upload(self, name: str, content: bytes) -> None:
        """See Host."""
        self._ask("upload", name, content)

    def fetch(self, file: dict) -> bytes | None:
        """See Host."""
        return self._ask("fetch", file)


class RayHosts:
    """A host_api.Host for each accelerator of a Ray cluster; new ones while it grows.

    address: of the cluster; "auto" is the one at hand, and where there is none one on this machine alone. comfyui: its
    folder on every machine; None: the installation that this pack is in. cpu_hosts: so many where the cluster has no
    GPU. Raises FleetError.
    """

    def __init__(self, address: str, comfyui: Path | None, arguments: Sequence[str], cpu_hosts: int):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise FleetError("--ray: Ray is not installed: pip install 'ray>=2.60'") from None
        folder = comfyui or Path(__file__).resolve().parents[3]
        if not (folder / "main.py").is_file():
            raise FleetError(f"--comfyui: {folder} holds no ComfyUI (no main.py)")
        self._arguments, self._folder, self._cpu_hosts = list(arguments), str(folder.resolve()), cpu_hosts
        settings = {
            # Without the examples, beside which users' photographs may lie.
            "runtime_env": {"py_modules": [str(Path(__file__).resolve().parent)], "excludes": ["examples/"]},
            "log_to_driver": False,
            "logging_level": "ERROR",
        }
        try:
            ray.init(address="auto", **settings) if address == "auto" else ray.init(address=address, **settings)
        except ConnectionError as error:
            if address != "auto":
                raise FleetError(f"--ray {address}: {error}") from error
            ray.init(num_cpus=max(os.cpu_count() or 1, cpu_hosts), include_dashboard=False, **settings)
        self._ray = ray
        self._hosts: dict[str, RayHost] = {}
        self._on_gpus = self._gpus() > 0  # for all of the run, though the cluster may change
        print(f"Ray: {'a host for each GPU' if self._on_gpus else f'no GPU, {cpu_hosts} hosts on CPUs'}", flush=True)

    def _gpus(self) -> int:
        return int(self._ray.cluster_resources().get("GPU", 0))

    def current(self) -> dict[str, Host]:
        """See hosts.HostSource."""
        needs = {"num_gpus": 1} if self._on_gpus else {"num_cpus": 1}
        for number in range(len(self._hosts), self._gpus() if self._on_gpus else self._cpu_hosts):
            # Restarted as often as it dies. A call that it dies of is not made again: the driver asks how things stand.
            actor = self._ray.remote(HostActor).options(max_restarts=-1, max_task_retries=0, **needs)
            name = f"ray host {number + 1}"
            self._hosts[name] = RayHost(name, actor.remote(self._folder, self._arguments))
        return dict(self._hosts)

    def close(self) -> None:
        """See hosts.HostSource: actors and their hosts end."""
        self._ray.shutdown()

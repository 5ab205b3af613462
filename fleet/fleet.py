"""A run from beginning to end: hosts join and leave, what an earlier run left is taken up, results are reported."""

import time
from pathlib import Path

from .bars import Bars
from .errors import FleetError
from .hosts import HostSource
from .ledger import Ledger
from .plan import Plan
from .runner import Runner
from .work import Work

GLANCE = 0.25  # seconds between looks at hosts and bars
HOSTS_EVERY = 2.0  # seconds between looks at which hosts there are


class Fleet:
    """Runs what waits in a ledger on the hosts of a source.

    plan: the list's. folder: for the results. attempts: of a job, before it fails for good. poll: seconds between
    questions to a host. silence: seconds without a sign of life, after which a running job is given up. patience:
    seconds for which a host may be away until its jobs are given to others. limit: jobs of this run, None for all.
    """

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan,
        folder: Path,
        source: HostSource,
        attempts: int = 3,
        poll: float = 0.25,
        silence: float = 1800.0,
        patience: float = 30.0,
        limit: int | None = None,
    ):
        self._ledger, self._plan, self._source = ledger, plan, source
        self._settings = poll, silence, patience
        self._work = Work(ledger, folder, plan.prepare, attempts, limit)
        self._runners: dict[str, Runner] = {}
        self._adopted = False

    def run(self) -> None:
        """Until every job has ended. Ctrl-C stops it; hosts finish what they have, and the next run takes that up.

        Raises FleetError for what concerns the whole run, as a full disk.
        """
        bars, looked = Bars(self._work.left), 0.0
        try:
            while not self._work.over:
                if time.monotonic() - looked >= HOSTS_EVERY:
                    looked = time.monotonic()
                    self._meet()
                bars.update(self._work.left, self._work.failed, list(self._runners.values()))
                self._work.wait(GLANCE)
            bars.update(self._work.left, self._work.failed, list(self._runners.values()))
        except KeyboardInterrupt:
            self._work.stop(FleetError("stopped; the same command goes on where it ended"))
        finally:
            self._work.stop()
            bars.close()
            for runner in self._runners.values():
                # One without jobs has nothing to write down; it may wait for a host that is still starting.
                runner.join(timeout=60 if runner.has_jobs else 1)
            self._source.close()
        if self._work.error:
            raise self._work.error

    def _meet(self) -> None:
        """Let hosts in that are new, and those go that are named no more."""
        hosts = self._source.current()
        for name in [name for name, runner in self._runners.items() if name not in hosts or not runner.is_alive()]:
            runner = self._runners[name]
            runner.leave()
            if not runner.is_alive():
                del self._runners[name]
        new = [host for name, host in hosts.items() if name not in self._runners]
        for host in new:  # all of them before any begins: the first must not think that it is alone
            self._work.join(host.name)
        adopted = {} if self._adopted else self._left_over(hosts)
        for host in new:
            runner = Runner(host, self._work, *self._settings)
            for number in adopted.get(host.name, ()):
                self._adopt(runner, number)
            self._runners[host.name] = runner
            runner.start()

    def _left_over(self, hosts: dict) -> dict[str, list[int]]:
        """Jobs that an earlier run gave to these hosts, by host; those of others wait again."""
        self._adopted = True
        found: dict[str, list[int]] = {}
        for number, host in self._ledger.in_flight():
            if host in hosts:
                found.setdefault(host, []).append(number)
            else:
                self._work.give_back(number, "its host takes part no more")
        return found

    def _adopt(self, runner: Runner, number: int) -> None:
        job = self._ledger.job(number)
        try:
            runner.adopt(number, job["id"], self._plan.prepare(job["id"], job["row"])[0])
        except FleetError as error:
            self._work.give_back(number, str(error))

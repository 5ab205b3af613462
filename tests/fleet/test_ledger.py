"""The ledger: what it says after whatever has happened."""

import subprocess
import sys

import pytest
from helpers.paths import CHECKOUT

from fleet.errors import FleetError
from fleet.ledger import DONE, FAILED, IN_FLIGHT, REFUSED, RETURNED, WAITING, Ledger, Output, Planned


def planned(*ids, stages="s"):
    return [Planned(job_id, line, {"label.n": job_id}, "m", stages, "5") for line, job_id in enumerate(ids, 1)]


def test_a_list_is_planned_once_and_again(ledger):
    assert ledger.plan(planned("a", "b", "a"), "list") == 3
    assert ledger.counts() == {WAITING: 2, IN_FLIGHT: 0, DONE: 0, FAILED: 0}
    ledger.submit(1, "host")
    ledger.finish(1, 2.0, [Output("Save", "pictures/1.png", 3, "00")])
    ledger.plan(planned("a", "b", "c"), "list")
    assert ledger.counts() == {WAITING: 2, IN_FLIGHT: 0, DONE: 1, FAILED: 0}


def test_what_a_list_names_no_more_is_kept_but_not_made(ledger):
    ledger.plan(planned("a", "b"), "list")
    ledger.plan(planned("b"), "list")
    assert [number for number, *_ in ledger.in_order(WAITING)] == [2]
    ledger.plan(planned("b", "a"), "list")
    assert [(job["line"], job["number"]) for job in ledger.rows()] == [(1, 2), (2, 1)]


def test_jobs_stand_by_models_and_then_by_what_they_share(ledger):
    kinds = [("n", "x"), ("m", "y"), ("m", "x"), ("m", "y")]
    jobs = [Planned(str(line), line, {}, models, stages, "1") for line, (models, stages) in enumerate(kinds, 1)]
    ledger.plan(jobs, "list")
    assert [number for number, *_ in ledger.in_order(WAITING)] == [3, 2, 4, 1]


def test_a_job_is_done_once(ledger):
    ledger.plan(planned("a"), "list")
    ledger.submit(1, "slow")
    ledger.give_back(1, "away", RETURNED)
    ledger.submit(1, "fast")
    assert ledger.finish(1, 1.0, [Output("Save", "one")])
    assert not ledger.finish(1, 9.0, [Output("Save", "two")])
    ledger.give_back(1, "late news of the slow one", FAILED)
    (job,) = ledger.rows()
    assert (job["state"], job["seconds"], [output.file for output in job["outputs"]]) == (DONE, 1.0, ["one"])
    assert job["attempts"] == 2 and ledger.failures(1) == 0


def test_attempts_are_kept_with_their_reasons(ledger):
    ledger.plan(planned("a"), "list")
    ledger.submit(1, "host")
    ledger.give_back(1, "out of memory", FAILED)
    ledger.submit(1, "host")
    ledger.fail(1, "out of memory again")
    assert ledger.failures(1) == 2
    (job,) = ledger.rows()
    assert (job["state"], job["reason"]) == (FAILED, "out of memory again")
    ledger.retry_failed()
    assert ledger.counts()[WAITING] == 1 and ledger.failures(1) == 0


def test_only_hosts_that_refused_a_job_count_as_having_done_so(ledger):
    ledger.plan(planned("a"), "list")
    for host, outcome in (("gone", RETURNED), ("poor", REFUSED)):
        ledger.submit(1, host)
        ledger.give_back(1, "x", outcome)
    assert ledger.refused_by(1) == ["poor"]
    ledger.submit(1, "poor")
    ledger.fail(1, "x")
    ledger.retry_failed()
    assert ledger.refused_by(1) == []


def test_a_transaction_that_fails_leaves_nothing(ledger):
    def jobs():
        yield from planned("a")
        raise FleetError("a bad line")

    with pytest.raises(FleetError):
        ledger.plan(jobs(), "list")
    assert sum(ledger.counts().values()) == 0 and ledger.run == 0


def test_two_processes_do_not_share_a_folder(tmp_path):
    first = Ledger(tmp_path)
    with pytest.raises(FleetError, match="another run is writing there"):
        Ledger(tmp_path)
    first.close()
    Ledger(tmp_path).close()


def test_what_is_no_ledger_is_told(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"something else, and long enough to be read as a header" * 50)
    with pytest.raises(FleetError, match="is no ledger of the fleet"):
        Ledger(tmp_path)


KILLED = """
import os, signal, sys
sys.path.insert(0, {lab!r})
from host_server import load_package
load_package("fleet")
from pathlib import Path
from fleet.ledger import Ledger, Output, Planned
ledger = Ledger(Path({folder!r}))
ledger.plan([Planned("a", 1, {{}}, "m", "s", "1"), Planned("b", 2, {{}}, "m", "s", "1")], "list")
ledger.submit(1, "host")
ledger.finish(1, 1.0, [Output("Save", "one.png")])
ledger.submit(2, "host")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_all_that_it_has_written_and_no_lock(tmp_path):
    code = KILLED.format(lab=str(CHECKOUT / "lab"), folder=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    ledger = Ledger(tmp_path)
    assert ledger.counts() == {WAITING: 0, IN_FLIGHT: 1, DONE: 1, FAILED: 0}
    assert ledger.in_flight() == [(2, "host")]
    ledger.close()

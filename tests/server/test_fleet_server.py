"""The fleet with real hosts on the pocket world: what they compute is what was planned, and kills lose nothing."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from helpers.fleet_jobs import ask_ledger, calls_by_ledger, write_job_list
from helpers.host_client import Host
from helpers.paths import CHECKOUT, HOST
from helpers.real_server import start_server
from PIL import Image

from devtools.models import pocket_world
from devtools.processes import SetupError

SCENES, PEOPLE, STEPS = 4, 6, 4
JOBS = SCENES * PEOPLE
PLANNED = SCENES * (STEPS + STEPS + 1) + JOBS * STEPS  # a scene, its inversion, and its people
AT_A_TIME = 2  # jobs of a host


@pytest.fixture(scope="module")
def models():
    return pocket_world(sys.executable, HOST)


@pytest.fixture(scope="module")
def hosts(models, tmp_path_factory):
    """Two servers; a test may kill the second for good, so the last one of the module does."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(start_server(tmp_path_factory.mktemp("first"), models))
        stack.enter_context(contextlib.suppress(SetupError))  # it was killed
        yield first, stack.enter_context(start_server(tmp_path_factory.mktemp("second"), models))


def command(jobs, results, *more):
    return [sys.executable, CHECKOUT / "fleet", "run", jobs, "--output", results, *more]


def run(jobs, results, *more):
    """Run the fleet to its end. Returns what it says."""
    done = subprocess.run(command(jobs, results, *more), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def counted(results, *servers):
    """The guider calls that hosts have counted for the jobs of a ledger."""
    clients = [Host(server.url) for server in servers]
    ids = [job_id for (job_id,) in ask_ledger(results, "SELECT id FROM jobs")]
    return sum(
        node["guider_calls"]
        for client in clients
        for job_id in ids
        for node in client.get_json("/customenhancer_test/counts", prompt_id=job_id).values()
    )


def check_whole(results, jobs):
    """Each job is done once, and its picture is there, whole and alone."""
    assert ask_ledger(results, "SELECT count(*) FROM jobs WHERE state = 'done'") == [(jobs,)]
    assert ask_ledger(results, "SELECT count(*) FROM attempts WHERE outcome = 'done'") == [(jobs,)]
    files = [path for path in (results / "pictures").rglob("*") if path.is_file()]
    listed = ask_ledger(results, "SELECT file FROM outputs WHERE file IS NOT NULL")
    assert sorted(str(path.relative_to(results)) for path in files) == sorted(file for (file,) in listed)
    assert len(files) == jobs
    for path in files:
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (128, 128)


def until(results, done):
    """Wait until so many jobs are done."""
    for _ in range(3000):
        if ask_ledger(results, "SELECT count(*) FROM jobs WHERE state = 'done'") >= [(done,)]:
            return
        time.sleep(0.1)
    raise AssertionError(f"{done} jobs are not done in time")


def test_one_host_computes_what_was_planned(hosts, tmp_path):
    jobs = write_job_list(tmp_path, SCENES, PEOPLE, STEPS)
    told = run(jobs, tmp_path / "results", "--dry-run")
    assert f"{PLANNED} guider calls for the {JOBS} jobs that wait" in told
    assert f"1: {SCENES} times, shared by {JOBS} jobs" in told
    run(jobs, tmp_path / "results", "--hosts", hosts[0].url)
    assert counted(tmp_path / "results", hosts[0]) == PLANNED == calls_by_ledger(tmp_path / "results")
    check_whole(tmp_path / "results", JOBS)
    assert re.search("24 jobs, 24 done", run(jobs, tmp_path / "results", "--dry-run"))


def test_ray_starts_hosts_and_survives_the_death_of_one(models, tmp_path):
    pytest.importorskip("ray")
    people = 3
    jobs, results = write_job_list(tmp_path, SCENES, people, STEPS), tmp_path / "results"
    server = start_server(tmp_path / "base", models)
    server.fill()
    arguments = ["--comfyui", HOST, "--comfyui-arguments", " ".join(map(str, server.arguments))]
    with open(tmp_path / "log", "wb") as log:
        fleet = subprocess.Popen(
            [*command(jobs, results, "--ray", "auto"), *arguments], stdout=log, stderr=log, start_new_session=True
        )
        try:
            until(results, 2)
            os.kill(child_of(fleet.pid, "ray::HostActor"), signal.SIGKILL)
            assert fleet.wait(500) == 0, (tmp_path / "log").read_text()
        finally:
            fleet.kill()
    check_whole(results, SCENES * people)
    assert {host for (host,) in ask_ledger(results, "SELECT host FROM jobs")} <= {"ray host 1", "ray host 2"}
    (repeated,) = ask_ledger(results, "SELECT count(*) FROM attempts WHERE outcome != 'done'")[0]
    assert repeated <= AT_A_TIME


def child_of(parent, name):
    """The id of a process below another, by what its command line begins with."""
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            if " ".join(process.cmdline()).startswith(name):
                return process.pid
    raise AssertionError(f"there is no {name}")


def test_kills_of_driver_and_host_lose_nothing_and_double_nothing(hosts, tmp_path, measured):
    jobs, results = write_job_list(tmp_path, SCENES, PEOPLE, STEPS + 1), tmp_path / "results"
    both = ["--hosts", ",".join(server.url for server in hosts), "--patience", "2"]
    with subprocess.Popen(command(jobs, results, *both), stderr=subprocess.DEVNULL) as driver:
        until(results, 5)
        driver.send_signal(signal.SIGKILL)
    (in_flight,) = ask_ledger(results, "SELECT count(*) FROM jobs WHERE state = 'in flight'")[0]
    assert in_flight <= 2 * AT_A_TIME
    with subprocess.Popen(command(jobs, results, *both), stderr=subprocess.DEVNULL) as driver:
        until(results, 12)
        assert counted(results, *hosts) <= calls_by_ledger(results) + 2 * AT_A_TIME * 3 * (STEPS + 2)
        hosts[1].process.kill()
        assert driver.wait(500) == 0
    check_whole(results, JOBS)
    (repeated,) = ask_ledger(results, "SELECT count(*) FROM attempts WHERE outcome != 'done'")[0]
    assert repeated <= AT_A_TIME  # of the host that was killed; the driver's were asked for
    measured("jobs repeated after kills of driver and host, of 24", repeated)
